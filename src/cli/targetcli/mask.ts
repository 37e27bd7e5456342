/** What is shown in place of a secret that is set. */
export const MASK = '********';
