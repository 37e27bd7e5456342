// What iscsiadm 2.1.8 printed (Debian 12, LIO): the texts that ours must equal byte for byte.
export const sessionsP1 = `Target: iqn.2022-08.com.test:dlp.target01 (non-flash)
	Current Portal: 127.0.0.2:3260,1
	Persistent Portal: 127.0.0.2:3260,1
		**********
		Interface:
		**********
		Iface Name: default
		Iface Transport: tcp
		Iface Initiatorname: iqn.2022-08.com.test:node01.initiator01
		Iface IPaddress: 127.0.0.1
		Iface HWaddress: default
		Iface Netdev: default
		SID: 11
		iSCSI Connection State: LOGGED IN
		iSCSI Session State: LOGGED_IN
		Internal iscsid Session State: NO CHANGE
	Current Portal: [0000:0000:0000:0000:0000:0000:0000:0001]:3260,1
	Persistent Portal: [::1]:3260,1
		**********
		Interface:
		**********
		Iface Name: default
		Iface Transport: tcp
		Iface Initiatorname: iqn.2022-08.com.test:node01.initiator01
		Iface IPaddress: [0000:0000:0000:0000:0000:0000:0000:0001]
		Iface HWaddress: default
		Iface Netdev: default
		SID: 12
		iSCSI Connection State: LOGGED IN
		iSCSI Session State: LOGGED_IN
		Internal iscsid Session State: NO CHANGE
	Current Portal: 127.0.0.1:3260,1
	Persistent Portal: 127.0.0.1:3260,1
		**********
		Interface:
		**********
		Iface Name: default
		Iface Transport: tcp
		Iface Initiatorname: iqn.2022-08.com.test:node01.initiator01
		Iface IPaddress: 127.0.0.1
		Iface HWaddress: default
		Iface Netdev: default
		SID: 13
		iSCSI Connection State: LOGGED IN
		iSCSI Session State: LOGGED_IN
		Internal iscsid Session State: NO CHANGE
`;

export const sessionP2 = `Target: iqn.2022-08.com.test:dlp.target05 (non-flash)
	Current Portal: 127.0.0.1:3260,1
	Persistent Portal: 127.0.0.1:3260,1
		**********
		Interface:
		**********
		Iface Name: default
		Iface Transport: tcp
		Iface Initiatorname: iqn.2022-08.com.test:node01.initiator01
		Iface IPaddress: 127.0.0.1
		Iface HWaddress: default
		Iface Netdev: default
		SID: 1
		iSCSI Connection State: LOGGED IN
		iSCSI Session State: LOGGED_IN
		Internal iscsid Session State: NO CHANGE
		*********
		Timeouts:
		*********
		Recovery Timeout: 120
		Target Reset Timeout: 30
		LUN Reset Timeout: 30
		Abort Timeout: 15
		*****
		CHAP:
		*****
		username: username
		password: ********
		username_in: mutualuser
		password_in: ********
		************************
		Negotiated iSCSI params:
		************************
		HeaderDigest: None
		DataDigest: None
		MaxRecvDataSegmentLength: 262144
		MaxXmitDataSegmentLength: 262144
		FirstBurstLength: 65536
		MaxBurstLength: 262144
		ImmediateData: Yes
		InitialR2T: Yes
		MaxOutstandingR2T: 1
`;

export const sessionP3 = `iSCSI Transport Class version 2.0-870
version 2.1.8
Target: iqn.2022-08.com.test:dlp.target04 (non-flash)
	Current Portal: 127.0.0.1:3260,1
	Persistent Portal: 127.0.0.1:3260,1
		**********
		Interface:
		**********
		Iface Name: default
		Iface Transport: tcp
		Iface Initiatorname: iqn.2022-08.com.test:node01.initiator01
		Iface IPaddress: 127.0.0.1
		Iface HWaddress: default
		Iface Netdev: default
		SID: 8
		iSCSI Connection State: LOGGED IN
		iSCSI Session State: LOGGED_IN
		Internal iscsid Session State: NO CHANGE
		*********
		Timeouts:
		*********
		Recovery Timeout: 120
		Target Reset Timeout: 30
		LUN Reset Timeout: 30
		Abort Timeout: 15
		*****
		CHAP:
		*****
		username: <empty>
		password: ********
		username_in: <empty>
		password_in: ********
		************************
		Negotiated iSCSI params:
		************************
		HeaderDigest: None
		DataDigest: None
		MaxRecvDataSegmentLength: 262144
		MaxXmitDataSegmentLength: 262144
		FirstBurstLength: 65536
		MaxBurstLength: 262144
		ImmediateData: Yes
		InitialR2T: Yes
		MaxOutstandingR2T: 1
		************************
		Attached SCSI devices:
		************************
		Host Number: 0	State: running
		scsi0 Channel 00 Id 0 Lun: 0
			Attached scsi disk sdb		State: running
		scsi0 Channel 00 Id 0 Lun: 1
			Attached scsi disk sda		State: running
`;

export const discoveryP1 = `SENDTARGETS:
DiscoveryAddress: localhost,3260
DiscoveryAddress: ::1,3260
DiscoveryAddress: 127.0.0.1,3260
Target: iqn.2022-08.com.test:dlp.target05
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target04
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target03
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target02
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target01
	Portal: 127.0.0.2:3260,1
		Iface Name: default
	Portal: [::1]:3260,1
		Iface Name: default
	Portal: 127.0.0.1:3260,1
		Iface Name: default
iSNS:
No targets found.
STATIC:
No targets found.
FIRMWARE:
No targets found.
`;

export const nodeTreeText = `Target: iqn.2022-08.com.test:dlp.target01
	Portal: 127.0.0.1:3260,1
		Iface Name: default
	Portal: 127.0.0.2:3260,1
		Iface Name: default
	Portal: [::1]:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target02
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target03
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target04
	Portal: 127.0.0.1:3260,1
		Iface Name: default
Target: iqn.2022-08.com.test:dlp.target05
	Portal: 127.0.0.1:3260,1
		Iface Name: default
`;

export const nodeListText = `127.0.0.1:3260,1 iqn.2022-08.com.test:dlp.target01
127.0.0.2:3260,1 iqn.2022-08.com.test:dlp.target01
[::1]:3260,1 iqn.2022-08.com.test:dlp.target01
127.0.0.1:3260,1 iqn.2022-08.com.test:dlp.target02
127.0.0.1:3260,1 iqn.2022-08.com.test:dlp.target03
127.0.0.1:3260,1 iqn.2022-08.com.test:dlp.target04
127.0.0.1:3260,1 iqn.2022-08.com.test:dlp.target05
`;
