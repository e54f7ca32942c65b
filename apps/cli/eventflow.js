#!/usr/bin/env node
/** `npx eventflow …`, once it is built. */
import './dist/main.js'
