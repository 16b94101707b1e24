# routerd as an ordinary user with two capabilities: docs/container.md.
#
#   docker build -t routerd .
#   docker run --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_BIND_SERVICE ... routerd

FROM python:3.13-slim-bookworm AS build

# --copies: the interpreter in the environment is a file of its own, which can have capabilities of its own.
RUN python -m venv --copies /opt/routerd
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY .ci/packages .ci/packages
COPY requirements requirements
COPY daemon daemon
# The locked packages, with their hashes.
RUN PIP_NO_CACHE_DIR=1 .ci/packages /opt/routerd/bin/python run \
    && /opt/routerd/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM python:3.13-slim-bookworm

RUN groupadd --gid 53179 routerd \
    && useradd --uid 53179 --gid routerd --home-dir / --no-create-home --shell /usr/sbin/nologin routerd \
    && install -d -m 0750 -o routerd -g routerd /run/routerd /var/lib/routerd
COPY --from=build /opt/routerd /opt/routerd
COPY config/routerd.toml /etc/routerd/routerd.toml

# A container gives its capabilities to root alone; an ordinary user gets them from the file that it executes. Set
# here and not in the first stage, because not every builder copies capabilities. The ExaBGP child is started with
# the same interpreter.
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends libcap2-bin \
    && setcap cap_net_admin,cap_net_bind_service+ep /opt/routerd/bin/python \
    && apt-get purge -qq -y --auto-remove libcap2-bin \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/routerd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER routerd

# Does the daemon answer? `routerd status` would ask more: it fails while a configured node is down.
HEALTHCHECK --interval=30s --timeout=12s --start-period=20s \
    CMD ["routerd", "peers", "--json"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["routerd"]
CMD ["run", "--config", "/etc/routerd/routerd.toml", "--journal", "/var/lib/routerd/journal.json"]
