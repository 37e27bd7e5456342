// Edits of a TPG's portals: made with the default address and port, refused where another one holds the port.
import type { Portal, SaveConfig } from '../model.js';
import { absent, type Edit, RefusedEdit } from './edit.js';
import { changeTpg, configfsPath, requireTpg, type TpgRef, tpgPath } from './find.js';
import { numberWord } from './words.js';

export const ANY_ADDRESS = '0.0.0.0';
const ANY_ADDRESS_6 = '[::]';
const DEFAULT_PORT = 3260;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

export function newPortal(ip_address: string, port: number): Portal {
  return { ip_address, iser: false, offload: false, port };
}

/** `create [ADDRESS] [PORT]` */
export function createPortal(config: SaveConfig, ref: TpgRef, address = ANY_ADDRESS, ip_port?: string): Edit {
  const port = ip_port === undefined ? DEFAULT_PORT : numberWord(ip_port);
  const lines: string[] = [];
  if (port === DEFAULT_PORT) lines.push(`Using default IP port ${DEFAULT_PORT}`);
  if (address === ANY_ADDRESS) lines.push(`Binding to INADDR_ANY (${ANY_ADDRESS})`);
  const portal = newPortal(bracketed(address), port);
  const tpg = requireTpg(config, ref);
  if (tpg.portals.some((other) => same(other, portal))) {
    throw new RefusedEdit('ERR_BUSY', 'This NetworkPortal already exists in configFS', { lines });
  }
  const problem = addressProblem(portal) ?? portalConflict(config, ref, portal);
  if (problem !== null)
    throw new RefusedEdit('ERR_USAGE', 'Could not create NetworkPortal in configFS', { lines, hint: problem });
  lines.push(`Created network portal ${unbracketed(address)}:${port}.`);
  return {
    config: changeTpg(config, ref, (old) => ({ ...old, portals: [portal, ...old.portals] })),
    lines,
    created: `${tpgPath(ref)}/portals/${portal.ip_address}:${port}`,
  };
}

/** `delete ADDRESS PORT` */
export function deletePortal(config: SaveConfig, ref: TpgRef, address: string, ip_port: string): Edit {
  const wanted = newPortal(bracketed(address), Number(ip_port));
  const kept = requireTpg(config, ref).portals.filter((portal) => !same(portal, wanted));
  if (kept.length === requireTpg(config, ref).portals.length)
    throw absent(`No such NetworkPortal in configfs: ${configfsPath(ref)}/np/${wanted.ip_address}:${ip_port}`);
  return {
    config: changeTpg(config, ref, (tpg) => ({ ...tpg, portals: kept })),
    lines: [`Deleted network portal ${unbracketed(address)}:${ip_port}`],
  };
}

/**
 * Why this portal cannot be beside those that are there, or null. Several targets may share one; but no two TPGs of one
 * target, and an address that stands for all of them leaves the port to nobody else.
 */
export function portalConflict(config: SaveConfig, ref: TpgRef, portal: Portal): string | null {
  for (const target of config.targets) {
    for (const tpg of target.tpgs) {
      for (const other of tpg.portals) {
        if (other.port !== portal.port) continue;
        const shown = `${other.ip_address}:${other.port} of ${target.wwn} tpg${tpg.tag}`;
        if (same(other, portal)) {
          if (target.wwn === ref.wwn && target.fabric === ref.fabric) return `${shown} is the same`;
        } else if (overlaps(other, portal)) return `${shown} holds that port`;
      }
    }
  }
  return null;
}

/** 0.0.0.0 takes the port of every IPv4 address, :: of every address. */
function overlaps(a: Portal, b: Portal): boolean {
  const [one, two] = [plain(a.ip_address), plain(b.ip_address)];
  if (one === ANY_ADDRESS_6 || two === ANY_ADDRESS_6) return true;
  const both4 = !one.startsWith('[') && !two.startsWith('[');
  return both4 && (one === ANY_ADDRESS || two === ANY_ADDRESS);
}

function addressProblem({ ip_address, port }: Portal): string | null {
  if (port < 1 || port > 65_535) return `${port} is no TCP port`;
  if (!ip_address.startsWith('[')) return IPV4.test(ip_address) ? null : `${ip_address} is no IPv4 address`;
  if (!URL.canParse(`http://${ip_address}/`)) return `${unbracketed(ip_address)} is no IPv6 address`;
  return /^\[fe[89ab][0-9a-f]:/i.test(ip_address) ? 'an address of the link alone (fe80::) cannot be a portal' : null;
}

/** One spelling of an IPv6 address for all of its spellings. */
function plain(ip: string): string {
  if (!ip.startsWith('[') || !URL.canParse(`http://${ip}/`)) return ip;
  return new URL(`http://${ip}/`).hostname;
}

function same(a: Portal, b: Portal): boolean {
  return a.port === b.port && plain(a.ip_address) === plain(b.ip_address);
}

function bracketed(address: string): string {
  const bare = unbracketed(address);
  return bare.includes(':') ? `[${bare}]` : bare;
}

function unbracketed(address: string): string {
  return address.replace(/^\[|\]$/g, '');
}
