#!/usr/bin/env node
import { runAsProcess } from './process.ts';
import { kubectlPlugin } from './program.ts';

await runAsProcess(kubectlPlugin);
