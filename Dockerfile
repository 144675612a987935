# docker build -t stgcn . && docker run --rm -v "$PWD:/work" stgcn demo --video clip.mp4
# The results are in data/demo_result of the folder that the command is run in; fetched models stay in the volume /models.
FROM python:3.13-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,target=/src pip install --no-cache-dir /src
ENV ST_GCN_MODELS=/models
VOLUME /models
WORKDIR /work
ENTRYPOINT ["stgcn"]
