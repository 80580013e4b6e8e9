# Sluice in a container: compiled, without development tools, as a user without rights, on a root that may be read-only.
#
#   docker build -t sluice .
#   docker run -p 8080:8080 -v ./my-proxy:/etc/sluice:ro sluice
#   docker run --read-only --tmpfs /run/sluice:uid=1000,mode=0700 --cap-drop ALL …
#
# /etc/sluice holds proxy.config.ts, its plugins, and node_modules if it imports any. A change there reloads the proxy. SIGTERM drains.

ARG NODE=docker.io/library/node:26-slim

FROM ${NODE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json LICENSE README.md ./
COPY core core
# The package as npm would install it, with the versions of the lock file.
RUN npm pack && mkdir /opt/sluice && tar -xzf sluice-*.tgz -C /opt/sluice --strip-components=1 \
  && npm prune --omit=dev --no-audit --no-fund && mv node_modules /opt/sluice/
# What other systems and builds from source would need is a third of the whole.
RUN cd /opt/sluice/node_modules/isolated-vm && rm -rf src vendor native-example ./*.tgz \
  && find prebuilds -mindepth 1 -maxdepth 1 ! -name "linux-$(node -p process.arch)" -exec rm -rf {} +

FROM ${NODE}
COPY --from=build /opt/sluice /opt/sluice
# /run/sluice: the control socket, for `sluice status`, `reload` and `stop` in the container.
RUN ln -s /opt/sluice/dist/main.js /usr/local/bin/sluice \
  && mkdir -p /etc/sluice /run/sluice && chown 1000:1000 /run/sluice && chmod 0700 /run/sluice
COPY --from=build /opt/sluice/dist/cli/templates/reverse /etc/sluice
ENV NODE_ENV=production XDG_RUNTIME_DIR=/run/sluice
USER 1000:1000
WORKDIR /etc/sluice
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["sluice", "status"]
ENTRYPOINT ["sluice"]
CMD ["run"]
