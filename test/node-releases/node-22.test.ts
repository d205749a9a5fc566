import { testRelease } from './smoke.ts'

testRelease(22)
