package fill

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestAFieldThatWasMadeAnewIsStillTheLogins tells pages that draw their form again from
// those that have moved a placeholder into another field.
func TestAFieldThatWasMadeAnewIsStillTheLogins(t *testing.T) {
	was := Submission{Name: "p", ID: "pw"}
	holder := func(name, id string, password, whole bool) Holder {
		return Holder{Submission: Submission{Name: name, ID: id}, Password: password, Whole: whole}
	}
	for _, c := range []struct {
		why      string
		attached bool
		holders  []Holder
		heir     bool
	}{
		{"the same names", false, []Holder{holder("p", "pw", true, true)}, true},
		{"a password with other names", false, []Holder{holder("x", "", true, true)}, true},
		{"a text with the same names", false, []Holder{holder("p", "pw", false, true)}, true},
		{"a text with another name", false, []Holder{holder("comment", "pw", false, true)}, false},
		{"a text without names", false, []Holder{holder("", "", false, true)}, false},
		{"a text with more in it", false, []Holder{holder("p", "pw", true, false)}, false},
		{"two fields", false, []Holder{holder("p", "pw", true, true), holder("c", "c", false, true)}, false},
		{"the field is there as well", true, []Holder{holder("p", "pw", true, true)}, false},
		{"nobody", false, nil, false},
	} {
		for _, known := range []bool{true, false} {
			now := FormState{Attached: c.attached, Holders: c.holders}
			g := guardOf(heldBack)
			if known {
				g.state = FormState{known: true, Submission: was}
			} else {
				now.Submission = was // it is told of while a script keeps it
			}
			g.Look = func(context.Context, protocol.Element, string) (FormState, bool) { return now, true }
			var switched []bool
			gs := guards(&switched)
			gs.Update(t.Context(), g)
			want := was
			if c.heir {
				want = c.holders[0].Submission
			} else if c.attached {
				want = now.Submission
			}
			require.Equal(t, want, g.state.Submission, c.why)
			require.Equal(t, !c.heir && len(c.holders) > 0, g.state.spread, c.why)
			gs.Close()
		}
	}
}
