// Addresses that no other host can reach.
import { isIP } from 'node:net';

/** Whether `address` is an address of this host alone: 127.0.0.0/8 or ::1. A name is none, whatever it stands for today. */
export function isLoopback(address: string): boolean {
  if (isIP(address) === 4) return address.startsWith('127.');
  return isIP(address) === 6 && /^(?:0*:)+0*1$/.test(address);
}
