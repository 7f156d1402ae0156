export * from "./api.js";
export { isDocumentId, newDocumentId, newSpaceId, spaceIdOf } from "./ids.js";
export { Counter, ImmutableString } from "./scalar.js";
