package store

import "context"

// Disk is where a node keeps the data of browser profiles. Rows of disks are not proven:
// what they lead to is sealed for the profile that it is of.
type Disk struct {
	ID string
	// Address is where the newest node over it listens for the others.
	Address string
}

func scanDisk(row scanner) (d Disk, err error) { return d, row(&d.ID, &d.Address) }

// PutDisk says at which address the node over a disk listens.
func (tx *Tx) PutDisk(ctx context.Context, d Disk) error {
	_, err := tx.exec(ctx, "INSERT INTO disks (id, address) VALUES ($1, $2) "+
		"ON CONFLICT (id) DO UPDATE SET address = excluded.address", d.ID, d.Address)
	return err
}

// DiskOfProfile returns the disk that the data of a profile are on, or [ErrNotFound] where
// there are none yet.
func (q Queries) DiskOfProfile(ctx context.Context, org, uid string) (Disk, error) {
	return one(ctx, q, scanDisk, "SELECT id, address FROM disks WHERE id = "+
		"(SELECT disk_id FROM profile_disks WHERE org_id = $1 AND profile_uid = $2)", org, uid)
}

// AddressesOfProfiles returns the addresses of the servers that have the disks with the data
// of some profiles of an organization, by the uids of those. One of no disk is left out.
func (q Queries) AddressesOfProfiles(ctx context.Context, org string, uids []string) (map[string]string, error) {
	return q.pairs(ctx, "SELECT profile_uid, address FROM profile_disks JOIN disks ON id = disk_id WHERE profile_uid IN ("+
		q.on.listedTexts()+") AND org_id = $2", uids, org)
}

// ClaimProfile has the data of a profile of any organization be on a disk, unless they are
// on one already. A profile that is not there is left alone.
func (tx *Tx) ClaimProfile(ctx context.Context, uid, disk string) error {
	_, err := tx.exec(ctx, "INSERT INTO profile_disks (profile_uid, org_id, disk_id) "+
		"SELECT uid, org_id, $2 FROM browser_profiles WHERE uid = $1 ON CONFLICT (profile_uid) DO NOTHING", uid, disk)
	return err
}
