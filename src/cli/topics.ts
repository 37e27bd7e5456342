// The first screen, and what each topic is about: used by `lunctl`, by help and by the manual pages.

export const TOPICS: Readonly<Record<string, string>> = {
  discovery: 'Find targets on the network',
  node: 'Records of known targets; log in and out',
  iface: 'Interface records: where sessions come from',
  session: 'Sessions that are up, and their devices',
  chap: 'CHAP credentials of targets: store, try, show, forget',
  lun: 'LUNs of the sessions: limits, reservations, changes',
  config: 'How this machine uses lunctl: settings, their check, unit files',
  target: 'What serve offers; the commands and the shell of targetcli',
  disk: 'Label, partition, format, mount and grow an attached LUN',
};

/** Bare `lunctl`: the way from a target to a mounted disk, then where to read on. */
export function welcomeText(version: string): string {
  return `lunctl ${version}: turns an iSCSI LUN into a mounted disk, and files into iSCSI LUNs

From a target to a mounted file system:
  1. lunctl discovery sendtargets -p HOST          find the targets
  2. lunctl login TARGET                           log in; prints the device
  3. lunctl disk label DEVICE                      write a partition table
     lunctl disk partition DEVICE                  one partition over all of it
  4. lunctl disk format DEVICEp1 --type xfs        make the file system
  5. lunctl disk mount DEVICEp1 DIR                mount it
or in one go: lunctl disk provision TARGET/LUN DIR --type xfs -p HOST

Topics:
${rows(TOPICS)}

Commands:
${rows({
  nbd: 'Serve one LUN as an NBD export, without a record',
  serve: 'Offer files as an iSCSI target',
  login: 'The same as: node login',
  logout: 'The same as: node logout',
  schema: 'What --json prints, as JSON Schema',
  demo: 'All of it on this machine, with a target of its own',
  doctor: 'What is wrong here, and with a portal',
  completion: 'What bash, zsh or fish complete by',
})}

lunctl TOPIC --help          the commands of a topic
lunctl TOPIC COMMAND --help  options and examples
`;
}

function rows(entries: Readonly<Record<string, string>>): string {
  return Object.entries(entries)
    .map(([name, text]) => `  ${name.padEnd(11)}${text}`)
    .join('\n');
}
