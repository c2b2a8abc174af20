package profiles

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// In a cluster the data of a profile are on the disk of one node: of the first that used it.
// A disk has an id, in a file, by which the next node over it is known.

// diskFile is the file of the disk's id, in the folder of all profiles.
const diskFile = "disk"

// Join tells the other nodes of a cluster which disk this server has, and which profiles
// are on it that are nowhere else: they may be of the time before the cluster. It is called
// once, before the first runtime is launched.
func (s *Service) Join(ctx context.Context) error {
	if s.Cluster.Alone() {
		return nil
	}
	var err error
	if s.disk, err = s.readDisk(); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.PutDisk(ctx, store.Disk{ID: s.disk, Address: s.Cluster.Self().Address}); err != nil {
			return err
		}
		for _, e := range entries {
			if names.UUID(e.Name()) != nil {
				continue
			}
			if err := tx.ClaimProfile(ctx, e.Name(), s.disk); err != nil {
				return err
			}
		}
		return nil
	})
}

// readDisk reads the id of the disk, or makes it.
func (s *Service) readDisk() (string, error) {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(s.folder, diskFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.makeDisk()
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(text))
	if err := names.UUID(id); err != nil {
		return "", errors.New("the file " + path + " does not have the id of this disk: " + err.Error())
	}
	return id, nil
}

// makeDisk makes the id of the disk. Other nodes are told of it once it is durable: a power
// cut must not give this disk another one, by which nobody would find what lies here.
func (s *Service) makeDisk() (id string, err error) {
	folder, err := os.OpenRoot(s.folder)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	id = web.NewID()
	return id, writeFile(folder, diskFile, func(w io.Writer) error {
		_, err := io.WriteString(w, id+"\n")
		return err
	})
}

// errElsewhere is the refusal of a profile whose data are on the disk of a node that does
// not live.
var errElsewhere = web.WithHint(
	web.Unavailable("profiles.elsewhere", "the data of this browser profile are on the disk of a node that is not there"),
	"start a server over that node's data directory again, or use another profile",
)

// NodeOf finds which of the nodes that live has the data of a profile on its disk; it is one
// without an id where none has.
func (s *Service) NodeOf(ctx context.Context, org, id string, nodes []cluster.Node) (none cluster.Node, err error) {
	if validProfileID(id) != nil {
		return none, nil //nolint:nilerr // the handler says so, once it has decided
	}
	p, err := s.DB.Read().Profile(ctx, org, id)
	if err != nil {
		return none, nil //nolint:nilerr // the handler meets it too, once it has decided
	}
	d, err := s.DB.Read().DiskOfProfile(ctx, org, p.UID)
	if errors.Is(err, store.ErrNotFound) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	if d.ID == s.disk {
		return s.Cluster.Self(), nil
	}
	at := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Address == d.Address })
	if at < 0 {
		return none, nil
	}
	return nodes[at], nil
}

// atProfile is where the data are of the profile that the path names.
func (s *Service) atProfile() web.Where {
	return web.OnNode(func(ctx context.Context, rq *web.Request) (none cluster.Node, err error) {
		nodes, err := s.Cluster.Nodes(ctx)
		if err != nil {
			return none, err
		}
		return s.NodeOf(ctx, rq.Caller.Org, rq.PathValue("id"), nodes)
	})
}

// claim has the data of a profile be on this server's disk, in a transaction, and refuses
// where they are on another.
func (s *Service) claim(ctx context.Context, tx *store.Tx, org, uid string) error {
	if s.Cluster.Alone() {
		return nil
	}
	if err := tx.ClaimProfile(ctx, uid, s.disk); err != nil {
		return err
	}
	return s.requireHere(ctx, tx.Queries, org, uid)
}

// requireHere refuses a profile whose data are on another disk.
func (s *Service) requireHere(ctx context.Context, q store.Queries, org, uid string) error {
	if s.Cluster.Alone() {
		return nil
	}
	d, err := q.DiskOfProfile(ctx, org, uid)
	if errors.Is(err, store.ErrNotFound) || err == nil && d.ID == s.disk {
		return nil
	}
	if err != nil {
		return err
	}
	return errElsewhere
}
