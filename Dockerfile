# The annotator and its server: docker build -t segmend . && docker run -p 127.0.0.1:8765:8765 -v segmend:/data segmend
# More, and how to serve others: docs/deployment.md

FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.13-slim
COPY requirements/base.txt /tmp/base.txt
# OpenVINO's drivers of other processors, its readers of other files and the libraries' own tests are 125 MB that nothing
# here uses. For an Intel GPU leave libopenvino_intel_gpu_plugin.so and cache.json.
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/base.txt \
    && at=/usr/local/lib/python3.13/site-packages && libs=$at/openvino/libs \
    && rm -f "$libs/libopenvino_intel_gpu_plugin.so" "$libs/libopenvino_intel_npu_plugin.so" "$libs/cache.json" \
        "$libs"/libopenvino_tensorflow* "$libs"/libopenvino_pytorch* "$libs"/libopenvino_paddle* \
        "$libs"/libopenvino_gguf* "$libs"/libopenvino_jax* \
    && find "$at/numpy" "$at/scipy" "$at/sqlalchemy" "$at/pydicom" "$at/highdicom" -type d -name tests -prune -exec rm -r {} +
# Database drivers and S3 are extras: docker build --build-arg EXTRAS=[postgres,s3] -t segmend .
ARG EXTRAS=""
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/segmend-*.whl)$EXTRAS"
RUN useradd --uid 10001 --create-home segmend && install --directory --owner segmend /data
USER 10001:10001
# Nothing is written but in /data and /tmp, so the rest may be read-only.
ENV SEGMEND_FOLDER=/data PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 8765
HEALTHCHECK --start-period=60s --interval=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/api/health', timeout=5)"]
ENTRYPOINT ["segmend"]
CMD ["start", "--host", "0.0.0.0", "--no-browser"]
