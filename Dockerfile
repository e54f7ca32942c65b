# Ingest and worker in one image; the command says which.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci && npm run build

# Only what the two services need at run time.
FROM node:22-bookworm-slim AS dependencies
WORKDIR /app
COPY . .
RUN npm ci --omit=dev --workspace @eventflow/ingest --workspace @eventflow/worker --workspace @eventflow/samples

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/package.json ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/packages ./packages
COPY --from=build /app/apps ./apps
USER node
CMD ["node", "apps/ingest/dist/main.js"]
