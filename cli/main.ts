#!/usr/bin/env node
import { holdpoint } from './program.ts';
import { runAsProcess } from './process.ts';

await runAsProcess(holdpoint);
