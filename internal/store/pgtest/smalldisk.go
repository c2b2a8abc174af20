package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// SmallDisk makes a database on a disk of its own, of so many MiB, and returns its URL, and what gives
// the disk another size. It goes with the cluster. There is none, with ok false, where the machine does
// not let this process mount one.
func (c *Cluster) SmallDisk(database string, size int) (at string, resize func(size int) error, ok bool, err error) {
	dir := filepath.Join(c.dir, "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, false, err
	}
	mount := func(options string) error {
		return exec.Command("mount", "-t", "tmpfs", "-o", options, "none", dir).Run() //nolint:noctx // takes no time
	}
	sized := func(size int) string { return "size=" + strconv.Itoa(size) + "m" }
	if mount(sized(size)) != nil {
		return "", nil, false, nil //nolint:nilerr // a machine that does not let it is no error
	}
	c.small = dir
	if c.as != nil {
		err = os.Chown(dir, int(c.as.Uid), int(c.as.Gid))
	}
	for _, statement := range []string{
		"CREATE TABLESPACE small LOCATION '" + strings.ReplaceAll(dir, "'", "''") + "'",
		"CREATE DATABASE " + database + " TEMPLATE template0 TABLESPACE small",
	} {
		if err == nil {
			err = execIn(c.URL("postgres"), statement)
		}
	}
	return c.URL(database), func(size int) error { return mount("remount," + sized(size)) }, err == nil, err
}

// removeSmall takes the disk away, once the server is gone.
func (c *Cluster) removeSmall() error {
	if c.small == "" {
		return nil
	}
	return exec.Command("umount", "-l", c.small).Run() //nolint:noctx // takes no time
}
