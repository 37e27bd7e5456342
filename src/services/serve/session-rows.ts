// Who is logged in, in the words of the configuration.
import type { SaveConfig } from '../../saveconfig/model.js';
import type { SessionRow } from '../target/store.js';
import type { LoggedIn } from './connections.js';
import type { ServedObject } from './served-object.js';

export function sessionRows(
  connections: readonly LoggedIn[],
  config: SaveConfig,
  objects: ReadonlyMap<string, ServedObject>,
): SessionRow[] {
  const paths = new Map([...objects].map(([path, { unit }]) => [unit, path] as const));
  return connections.map(({ session, state, remote, authenticated }) => {
    const { tsih, initiatorName, targetName, tag, cid } = session;
    const luns = [...session.luns.values()]
      .sort((a, b) => a.lun - b.lun)
      .map(({ lun, unit, readOnly }) => ({ lun, backstore: paths.get(unit) ?? '', readOnly }));
    return {
      sid: tsih,
      type: targetName === null ? 'Discovery' : 'Normal',
      state,
      initiatorName,
      alias: '',
      targetName,
      tag,
      authenticated,
      dynamic: targetName !== null && !hasAcl(config, targetName, tag, initiatorName),
      luns,
      connections: [{ cid, address: remote.address, port: remote.port, transport: 'TCP', state }],
    };
  });
}

function hasAcl(config: SaveConfig, targetName: string, tag: number, initiatorName: string): boolean {
  const target = config.targets.find(({ fabric, wwn }) => fabric === 'iscsi' && wwn === targetName);
  const tpg = target?.tpgs.find((group) => group.tag === tag);
  return tpg?.node_acls.some(({ node_wwn }) => node_wwn === initiatorName) ?? false;
}
