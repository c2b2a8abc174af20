//go:build !linux

package egress

import "net"

// checkEstablished cannot tell here, where no owner of a connection is known either.
func checkEstablished(*net.TCPConn) error { return nil }
