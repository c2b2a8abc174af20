package web

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
)

// TestAHintNamesAMountThatThereIs asks it of the rights that mounts give, and of those
// that none does.
func TestAHintNamesAMountThatThereIs(t *testing.T) {
	field := regexp.MustCompile(`mounts\.[A-Za-z.]+[A-Za-z]`)
	for _, verb := range []access.Verb{bctrl.UseAI, access.AIRead, bctrl.UseVault, bctrl.ListVault, bctrl.ReadVault,
		bctrl.GetStorage, bctrl.PutStorage, bctrl.DeleteStorage, bctrl.ListStorage, bctrl.SignStorage,
		bctrl.InvokeCapability, access.CapabilityRead} {
		named := field.FindAllString(OutsideMount(verb).Hint, -1)
		require.NotEmpty(t, named, verb)
		for _, path := range named {
			body, value := path, "{}"
			for i := strings.LastIndexByte(body, '.'); i >= 0; i = strings.LastIndexByte(body, '.') {
				if leaf := body[i+1:]; value == "{}" && leaf == "allow" {
					value = "[]"
				} else if value == "{}" && leaf == "allowRawReads" {
					value = "true"
				}
				value, body = `{"`+body[i+1:]+`":`+value+`}`, body[:i]
			}
			var m bctrl.Mounts
			require.NoError(t, json.Unmarshal([]byte(value), &m), "%s: %s", verb, path)
		}
	}
	for _, verb := range []access.Verb{access.OperationRead, access.OperationCancel, access.RuntimeStop,
		access.RuntimeExecute, access.RuntimeConnect, access.RuntimeRead, access.SecretRead} {
		require.Empty(t, field.FindString(OutsideMount(verb).Hint), verb)
		require.Contains(t, OutsideMount(verb).Hint, "no mount gives it", verb)
	}
}
