// Jest has errors remember 100 frames, which takes libraries that make errors by the thousand (YAML, expect) a third of their time.
Error.stackTraceLimit = 10;
