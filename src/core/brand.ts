declare const brand: unique symbol

/** A `T` that only one parser makes, so that an unchecked value cannot take its place. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
