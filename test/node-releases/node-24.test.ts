import { testRelease } from './smoke.ts'

testRelease(24)
