#!/bin/sh
# Fetch the three models of the paper into models/:
#
#     sh tools/get_models.sh
#
# A file that is there already, and right, is kept; a download that broke off goes on where it stopped.
# ST_GCN_MODELS_URL names another place to fetch from (http://, https:// or file://), ST_GCN_MODELS another folder
# to put them in. resource/reference_model.txt lists, one a line: name, name at that place, git blob SHA-1.

set -u
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
url=${ST_GCN_MODELS_URL:-https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmskeleton/models/st-gcn}
folder=${ST_GCN_MODELS:-$root/models}
drive=https://drive.google.com/drive/folders/1IYKoSrjeI3yYJ9bO0_z_eDo92i7ob_aF
zoo=https://github.com/open-mmlab/mmskeleton/blob/master/doc/MODEL_ZOO.md

fail() { # what is wrong, then what to do
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '       %s\n' "$2" >&2
    exit 2
}

sha1() {
    if command -v sha1sum >/dev/null 2>&1; then sha1sum; else shasum -a 1; fi | cut -d' ' -f1
}

is_right() { # file, git blob SHA-1 = sha1("blob <size>\0" + content)
    [ -f "$1" ] || return 1
    size=$(wc -c <"$1" | tr -d ' ')
    [ "$({ printf 'blob %s\0' "$size"; cat -- "$1"; } | sha1)" = "$2" ]
}

fetch() { # address, file; goes on with what the file holds already
    if command -v curl >/dev/null 2>&1; then
        curl --fail --location --silent --show-error --retry 2 --connect-timeout 20 --continue-at - --output "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget --quiet --tries=3 --timeout=20 --continue --output-document="$2" "$1"
    else
        fail 'neither curl nor wget is here' 'install one of them'
    fi
}

mkdir -p "$folder" || fail "cannot make the folder $folder"
while read -r name remote hash; do
    [ -n "$name" ] || continue
    file=$folder/$name part=$folder/$name.part
    elsewhere="look for $remote or $name in $drive or $zoo and put it there as $file"
    if is_right "$file" "$hash"; then
        echo "$name: is there"
        continue
    fi
    [ ! -e "$file" ] || fail "$file is there but is not the published model" "move it away to fetch it; otherwise $elsewhere"
    is_right "$part" "$hash" || {
        began=no && [ -s "$part" ] && began=yes
        fetch "$url/$remote" "$part" </dev/null
        status=$?
        if [ $began = yes ] && ! is_right "$part" "$hash"; then
            case $status in
            0 | 8 | 22 | 33) # what was left does not fit, or this server cannot go on: from the beginning
                rm -f "$part"
                fetch "$url/$remote" "$part" </dev/null
                status=$?
                ;;
            esac
        fi
        [ -s "$part" ] || rm -f "$part"
        [ "$status" -eq 0 ] || fail "cannot fetch $name from $url/$remote" "$elsewhere"
    }
    is_right "$part" "$hash" || {
        rm -f "$part"
        fail "$url/$remote is not the published $name (its hash differs)" "$elsewhere"
    }
    mv "$part" "$file" || fail "cannot write $file"
    echo "$name: fetched"
done <"$root/resource/reference_model.txt"
