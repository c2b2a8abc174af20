package sample

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryCaseIsTakenByOneOfTheRuns(t *testing.T) {
	t.Setenv(variable, "")
	cases, taken := []int{0, 1, 2, 3, 4, 5, 6}, map[int]bool{}
	for len(taken) < len(cases) { // each run draws one of three
		some := Of(t, 3, cases)
		require.Contains(t, []int{2, 3}, len(some))
		for _, c := range some {
			taken[c] = true
		}
	}
	require.Equal(t, 33, Number(3, 100))
	t.Setenv(variable, "all")
	require.Equal(t, cases, Of(t, 3, cases))
	require.Equal(t, 100, Number(3, 100))
}

func TestAPropertyIsTriedAsOftenAsIsSaid(t *testing.T) {
	tries := func(t *testing.T) (n int) {
		t.Helper()
		rapid.Check(t, func(*rapid.T) { n++ })
		return n
	}
	t.Setenv(variable, "")
	usual := tries(t)
	t.Run("few", func(t *testing.T) {
		Checks(t, 3)
		require.Equal(t, 3, tries(t))
	})
	require.Equal(t, usual, tries(t), "in other tests")
	t.Setenv(variable, "all")
	Checks(t, 3)
	require.Equal(t, usual, tries(t), "at night")
}
