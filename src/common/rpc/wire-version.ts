/** Both sides must agree on the major; a minor only adds what the other may ignore. */
export const WIRE_VERSION = { major: 2, minor: 0 } as const;
