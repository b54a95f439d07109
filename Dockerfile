# The web demo on a CPU:
#
#   docker build -t handbench .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/runs/my-run:/home/hand/runs/my-run:ro" handbench
#
# Without a run the page says how to make one. docs/deploy.md has the rest.
FROM python:3.12-slim AS wheel
WORKDIR /source
RUN pip install --no-cache-dir build
COPY pyproject.toml README.md LICENSE ./
COPY handbench handbench
COPY manifests manifests
RUN python -m build --wheel --outdir /wheel

FROM python:3.12-slim
# CPU wheels of torch are a tenth of those for CUDA.
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --no-cache-dir "$(ls /wheel/*.whl)[web]"
RUN useradd --create-home --uid 10001 hand \
    && install --directory --owner hand /home/hand/runs
USER hand
WORKDIR /home/hand
ENV HANDBENCH_HOME=/home/hand \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
# Healthy is also a server without a model, which tells people how to make one.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/', timeout=4)"]
ENTRYPOINT ["handbench", "serve"]
# Inside a container every address is its own; what is reached from outside, `docker run -p` says.
CMD ["--host", "0.0.0.0", "--port", "8000"]
