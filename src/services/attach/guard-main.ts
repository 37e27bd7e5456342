// What a device's guard runs where nbd-client is not installed: disconnects the device that its argument names, by netlink.
import { kernelNbd } from './kernel-nbd.js';
import { nbdIndex } from './nbd-device.js';

const [, , name = ''] = process.argv;
if (/^nbd\d+$/.test(name)) await (await kernelNbd())?.disconnect(nbdIndex(name));
