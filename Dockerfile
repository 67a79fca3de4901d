FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home clustercredit
WORKDIR /home/clustercredit/app
RUN chown clustercredit:clustercredit .
USER clustercredit
COPY --chown=clustercredit:clustercredit . .
RUN make .venv/.installed && mkdir -p .local

EXPOSE 8000
VOLUME /home/clustercredit/app/.local
HEALTHCHECK --start-period=60s CMD [".venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/docs')"]
CMD [".venv/bin/clustercredit", "serve", "--host", "0.0.0.0"]
