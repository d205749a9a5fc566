import { testRelease } from './smoke.ts'

testRelease(26)
