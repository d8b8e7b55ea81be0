import type { TString } from 'typebox'
import { DIGEST_SPELLING } from '../../core/digest-text.ts'
import { nameSpelling } from '../../core/name.ts'
import { spelled, text } from './closed.ts'

const DIGEST_LENGTH = 'sha512:'.length + 128

/** A package id. */
export const packageId: TString = spelled('Package id: a UUIDv7.', 36, nameSpelling.packageId)
/** A repository. */
export const repositoryName: TString = spelled('Repository: an OCI repository name.', 255, nameSpelling.repository)
/** A tag. */
export const tagName: TString = spelled('Tag.', 128, nameSpelling.tag)
/** A digest. */
export const digest: TString = spelled('Digest, as `sha256:<hex>`.', DIGEST_LENGTH, DIGEST_SPELLING)
/** A file's path in its package. */
export const filePath: TString = spelled('Path in the package.', 4_096, '^[^/\\u0000]{1,255}(?:/[^/\\u0000]{1,255})*$')
/** A package id, `name:tag` or `name@digest`. */
export const reference: TString = text('Package id, `name:tag` or `name@sha256:…`.', 255 + 1 + DIGEST_LENGTH)
