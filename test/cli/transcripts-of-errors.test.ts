import { testTranscripts } from './transcript-test.ts';

testTranscripts(['bad-input', 'trouble']);
