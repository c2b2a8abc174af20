package blob

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// writeUntilKilled, when set, makes this binary a process that stores blobs in
// the place it names until somebody kills it.
const writeUntilKilled = "BLOB_TEST_WRITE_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if how := os.Getenv(writeUntilKilled); how != "" {
		if err := writeForever(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}
