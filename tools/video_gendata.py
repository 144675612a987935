"""One's own videos, sorted into folders that are their labels, to the packed data that the feeder reads.

    python tools/video_gendata.py --data_path videos                    # videos/<label>/<video>
    python tools/video_gendata.py --data_path videos/*/*.mp4            # the same, or some of them
    python main.py recognition -c config/st_gcn/custom/train.yaml
    python main.py demo --video new.mp4 --weights work_dir/recognition/custom/ST_GCN/epoch60_model.pt

Writes {train,val}_data.npy, _label.pkl, _frame_size.npy and label_names.txt, or with --out_format h5 {train,val}.h5. Where
there are folders videos/train/<label> and videos/val/<label> those are the parts; otherwise val is the last fifth of every
class, by name. The persons that were found in each video are kept in <out_folder>/pose: a run that was killed goes on where it
stopped, and more videos, or another --layout, cost only what is new.

With thousands of videos, the N jobs of a cluster's job array find the persons, --shard 1/N to N/N, at once and in any order;
the same command without --shard packs them.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from feeder.gendata import pack_parts, read_all, show_left_out
from feeder.packed_writer import packing, write_label_names
from feeder.readers import video
from feeder.readers.clip import Clip
from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton
from tools.command import add_out_format, run
from torchlight.bulk import Tally
from torchlight.errors import DataError, short
from torchlight.machine import cores
from torchlight.shard import Shard


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack one's own videos for the feeder.")
    parser.add_argument("--data_path", required=True, nargs="+", help="the folder of the label folders, or the videos")
    parser.add_argument("--out_folder", default="data/custom", help="where to write (default: data/custom)")
    parser.add_argument("--holdout", action="store_true", help="split the training videos, without those of val")
    parser.add_argument("--layout", default="openpose", help="joints of the clips, a name or a YAML file (openpose)")
    parser.add_argument("--num_person", type=int, default=1, help="persons of a clip, M (default: 1)")
    parser.add_argument("--num_frame", type=int, help="frames of a clip, T, 30 a second (default: the longest)")
    parser.add_argument("--num_worker", type=int, default=cores(), help="videos processed at once (default: all cores)")
    parser.add_argument(
        "--pose", default="movenet", choices=["movenet", "blazepose"], help="who finds the joints (movenet)"
    )
    parser.add_argument("--openpose", metavar="DIR", help="where OpenPose was built: used in place of --pose")
    parser.add_argument(
        "--openpose_model", default="COCO", choices=["COCO", "BODY_25"], help="the joints that OpenPose finds"
    )
    add_out_format(parser)
    parser.add_argument(
        "--shard", metavar="K/N", help="only find the persons in the K-th of N parts of the videos, and pack nothing"
    )
    arg = parser.parse_args()
    shard = Shard.of(arg.shard)
    if arg.num_person < 1 or (arg.num_frame is not None and arg.num_frame < 1):
        raise DataError("--num_frame and --num_person must be 1 or more")
    load_skeleton(arg.layout)  # is it known?
    root, only = video.places(arg.data_path)
    names, out_folder = video.label_names(root, only), Path(arg.out_folder)
    if len(names) < 2:
        raise DataError(f"{root}: all is {short(names[0])}; a network needs two labels to choose from")
    parts = [(out_folder, part, video.list_clips(root, part, arg.holdout, only)) for part in ("train", "val")]
    poses = {"root": root, "kept": out_folder / "pose"}
    poses |= {"openpose": arg.openpose, "openpose_model": arg.openpose_model, "pose": arg.pose}
    if arg.shard:
        clips = [clip for _, _, listing in parts for clip in listing.clips]
        mine = [clip for clip in clips if shard.has(clip.path.relative_to(root).as_posix())]
        keep_poses(mine, poses, Tally("videos", out_folder, shard), arg)
        return
    show_left_out(parts[0][2])
    read = partial(video.read, layout=arg.layout, num_person=arg.num_person, **poses)
    with packing(out_folder):
        longest = estimate_poses(parts, read, arg)
        num_frame = arg.num_frame or longest
        pack_parts(parts, read, num_frame, arg.num_person, arg.num_worker, arg.out_format, names)
        if arg.out_format == "npy":
            write_label_names(out_folder, names)
    print(f"labels: {', '.join(names)}")


def keep_poses(clips: list[Clip], poses: dict, tally: Tally, arg: argparse.Namespace) -> None:
    """Estimate and keep the poses of these videos, but for those that are kept already. DataError if one cannot be."""
    fetch_pose_model(arg)
    new = [clip for clip in clips if not video.is_kept(clip.path, **poses)]
    tally.skipped = len(clips) - len(new)
    with closing(read_all(new, partial(video.find_poses, **poses), arg.num_worker, slow=True)) as results:
        for clip, result in zip(new, tqdm(results, "pose", len(new), unit="video", disable=None)):
            if isinstance(result, str):
                tally.fail(clip.path, result)
            else:
                tally.done += 1
    tally.finish()


def fetch_pose_model(arg: argparse.Namespace) -> None:
    """By one process, not by each."""
    if not arg.openpose:
        from feeder.pose.fetch import fetch_model

        for name in dict.fromkeys(["movenet", arg.pose]):  # BlazePose looks at the persons of MoveNet
            fetch_model(name)


def estimate_poses(parts: list, read: partial, arg: argparse.Namespace) -> int:
    """Estimate and keep the poses of every video; frames of the longest clip."""
    fetch_pose_model(arg)
    clips = [clip for _, _, listing in parts for clip in listing.clips]
    with closing(read_all(clips, read, arg.num_worker, slow=True)) as results:
        seen = tqdm(results, "pose", len(clips), unit="video", disable=None)
        lengths = [clip.keypoints.shape[1] for clip in seen if isinstance(clip, SkeletonSequence)]
    if len(lengths) < len(clips):
        print(f"pose: {len(clips) - len(lengths)} of {len(clips)} videos are of no use, named below")
    return max(lengths, default=1)


if __name__ == "__main__":
    run(main)
