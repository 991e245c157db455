# The annotator and its server: docker build -t segmend . && docker run -p 127.0.0.1:8765:8765 -v segmend:/data segmend
# More, and how to serve others: docs/deployment.md

FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.13-slim
COPY requirements/base.txt /tmp/base.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/base.txt
# Database drivers and S3 are extras: docker build --build-arg EXTRAS=[postgres,s3] -t segmend .
ARG EXTRAS=""
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/segmend-*.whl)$EXTRAS"
RUN useradd --create-home segmend && install --directory --owner segmend /data
USER segmend
ENV SEGMEND_FOLDER=/data
VOLUME /data
EXPOSE 8765
HEALTHCHECK --start-period=60s --interval=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/api/health', timeout=5)"]
ENTRYPOINT ["segmend"]
CMD ["start", "--host", "0.0.0.0", "--no-browser"]
