// What the kernel's NBD client is asked by generic netlink: linux/nbd-netlink.h, and CTRL_CMD_GETFAMILY of linux/genetlink.h.
import { ProtocolError } from '../../util/errors.js';
import { attribute32, attribute64, attributeNest, attributeText, emitRequest, type GenericAnswer } from './netlink.js';

/** GENL_ID_CTRL, the family that names the others. */
const CONTROLLER = 0x10;
const ControlCommand = { GetFamily: 3 } as const;
const ControlAttribute = { FamilyId: 1, FamilyName: 2 } as const;

const NbdCommand = { Connect: 1, Disconnect: 2, Reconfigure: 3 } as const;
const NbdAttribute = {
  Index: 1,
  SizeBytes: 2,
  BlockSizeBytes: 3,
  Timeout: 4,
  ServerFlags: 5,
  Sockets: 7,
  BackendIdentifier: 10,
} as const;
/** NBD_SOCK_ITEM within NBD_ATTR_SOCKETS, and NBD_SOCK_FD within that. */
const SOCKET_ITEM = 1;
const SOCKET_FD = 1;

/** Whom a request goes to: the family's number, and the number that its answers carry. */
export interface NbdAddress {
  readonly family: number;
  readonly sequence: number;
}

export interface NbdConnect {
  /** Descriptors of sockets past the handshake; more than one only if the server has NBD_FLAG_CAN_MULTI_CONN. */
  readonly sockets: readonly number[];
  readonly sizeBytes: number;
  readonly blockSize: number;
  /** The transmission flags of the handshake. */
  readonly serverFlags: number;
  /** Seconds until a request is given up on its connection; 0 means never, with one connection only. */
  readonly timeoutS: number;
  /** What /sys/block/nbdN/backend shows, and a later change must name (Linux 5.14; ignored before). */
  readonly backend: string;
}

/** Asks for the number of the family `nbd`; the answer is ENOENT without the module. */
export function emitGetFamily(sequence: number): Buffer {
  const attributes = [attributeText(ControlAttribute.FamilyName, 'nbd')];
  return emitRequest({ family: CONTROLLER, command: ControlCommand.GetFamily, sequence, attributes });
}

/** @throws ProtocolError for an answer without the number */
export function parseFamily({ attributes }: GenericAnswer & { kind: 'message' }): number {
  const id = attributes.get(ControlAttribute.FamilyId);
  if (id?.length !== 2) throw new ProtocolError('linux/genetlink.h', 'an answer without the number of the family');
  return id.readUInt16LE(0);
}

/** Connects a device that the kernel chooses: without NBD_ATTR_INDEX it is the first free one, or a new one. */
export function emitConnect(to: NbdAddress, request: NbdConnect): Buffer {
  const items = request.sockets.map((fd) => attributeNest(SOCKET_ITEM, [attribute32(SOCKET_FD, fd)]));
  const attributes = [
    attribute64(NbdAttribute.SizeBytes, request.sizeBytes),
    attribute64(NbdAttribute.BlockSizeBytes, request.blockSize),
    attribute64(NbdAttribute.Timeout, request.timeoutS),
    attribute64(NbdAttribute.ServerFlags, request.serverFlags),
    attributeText(NbdAttribute.BackendIdentifier, request.backend),
    attributeNest(NbdAttribute.Sockets, items),
  ];
  return emitRequest({ ...to, command: NbdCommand.Connect, attributes });
}

/** The number of the device that has been connected. @throws ProtocolError for an answer without it */
export function parseIndex({ attributes }: GenericAnswer & { kind: 'message' }): number {
  const index = attributes.get(NbdAttribute.Index);
  if (index?.length !== 4) throw new ProtocolError('linux/nbd-netlink.h', 'an answer without the number of the device');
  return index.readUInt32LE(0);
}

/** Ends what the device waits for and lets it go; nothing happens to one that is not connected. */
export function emitDisconnect(to: NbdAddress, index: number): Buffer {
  return emitRequest({ ...to, command: NbdCommand.Disconnect, attributes: [attribute32(NbdAttribute.Index, index)] });
}

/** Gives a connected device another size. The kernel refuses (EINVAL) unless `backend` is the one it was connected with. */
export function emitResize(
  to: NbdAddress,
  { index, sizeBytes, backend }: { readonly index: number; readonly sizeBytes: number; readonly backend: string },
): Buffer {
  const attributes = [
    attribute32(NbdAttribute.Index, index),
    attribute64(NbdAttribute.SizeBytes, sizeBytes),
    attributeText(NbdAttribute.BackendIdentifier, backend),
  ];
  return emitRequest({ ...to, command: NbdCommand.Reconfigure, attributes });
}
