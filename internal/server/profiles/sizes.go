package profiles

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// SizesQuestion is what other nodes ask with, for [Service.Sizes].
const SizesQuestion = "profile-sizes"

// Sizes are those of the folders of the profiles with some uids, in bytes.
func (s *Service) Sizes(ctx context.Context, uids []string) (map[string]int64, error) {
	sizes := map[string]int64{}
	for _, uid := range uids {
		if names.UUID(uid) != nil {
			return nil, errors.New("this is not the uid of a profile")
		}
		size, err := folderSize(s.Folder(uid))
		if err != nil {
			return nil, err
		}
		sizes[uid] = size
		if ctx.Err() != nil { // nobody waits any more
			return nil, ctx.Err()
		}
	}
	return sizes, nil
}

// sizesElsewhere are the sizes of those profiles that are on the disks of other nodes that
// live, and answer.
func (s *Service) sizesElsewhere(ctx context.Context, org string, rows []store.Profile) (map[string]int64, error) {
	if s.Peers == nil || len(rows) == 0 {
		return nil, nil
	}
	uids := make([]string, len(rows))
	for i, p := range rows {
		uids[i] = p.UID
	}
	at, err := s.DB.Read().AddressesOfProfiles(ctx, org, uids)
	if err != nil {
		return nil, err
	}
	nodes, err := s.Cluster.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	owners := map[string]cluster.Node{}
	for uid, address := range at {
		for _, n := range nodes {
			if n.Address == address {
				owners[uid] = n
			}
		}
	}
	return web.AskOwners[int64](ctx, s.Kernel, SizesQuestion, owners), nil
}
