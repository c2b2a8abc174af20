package command

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// maxMounts bounds a file of mounts, as the server does a request.
const maxMounts = 1 << 20

// mountsHelp ends the manual of every command that takes mounts.
const mountsHelp = `

A vault prefix that ends in a slash (prod/crm/) is everything below it; without
one (prod/crm) it is that key too; / is every key. A deny wins over every allow.
Of hosts, example.com is that one, *.example.com all below it, and * every host.
A file for --mounts holds the JSON of the HTTP API, as
'bctrl workspace get NAME --output mounts' prints it.`

// mountFlags say mounts on the command line, or name a file that does.
type mountFlags struct {
	file                                   string
	ai, defaults                           []string
	allow, deny                            []string
	rawReads                               bool
	storage                                string
	capabilities                           []string
	allowHosts, denyHosts                  []string
	noAI, noVault, noStorage, noCapability bool
	noWeb                                  bool
}

// newMountFlags adds the flags to cmd.
func newMountFlags(cmd *cobra.Command) *mountFlags {
	m := &mountFlags{}
	f := cmd.Flags()
	f.StringVar(&m.file, "mounts", "", "`file` with all mounts as JSON, in place of the flags below; - is standard input")
	f.StringSliceVar(&m.ai, "ai", nil, "`id` of an AI credential that may be used; may be repeated")
	f.StringSliceVar(&m.defaults, "ai-default", nil, "credential to choose for a provider, as `provider=id`; may be "+
		"repeated")
	f.StringSliceVar(&m.allow, "allow-vault", nil, "vault `prefix` whose keys may be used; may be repeated")
	f.StringSliceVar(&m.deny, "deny-vault", nil, "vault `prefix` whose keys may not be used; may be repeated")
	f.BoolVar(&m.rawReads, "raw-reads", false, "let the values of the allowed vault keys be read, too")
	f.StringVar(&m.storage, "storage", "", "`namespace` of the files")
	f.StringSliceVar(&m.capabilities, "capability", nil, "`name` of a capability that may be invoked: github/repos, "+
		"github/ or /; may be repeated")
	f.StringSliceVar(&m.allowHosts, "allow-host", nil, "`host` that the browser may speak to: example.com, "+
		"*.example.com or *; may be repeated")
	f.StringSliceVar(&m.denyHosts, "deny-host", nil, "`host` that the browser may not speak to; may be repeated")
	f.BoolVar(&m.noAI, "no-ai", false, "use no AI credential")
	f.BoolVar(&m.noVault, "no-vault", false, "use no vault key")
	f.BoolVar(&m.noStorage, "no-storage", false, "have no files")
	f.BoolVar(&m.noCapability, "no-capabilities", false, "invoke no capability")
	f.BoolVar(&m.noWeb, "no-web", false, "speak to no host")
	return m
}

// mountNames are the flags that --mounts stands in place of.
var mountNames = []string{"ai", "ai-default", "allow-vault", "deny-vault", "raw-reads", "storage", "capability",
	"allow-host", "deny-host", "no-ai", "no-vault", "no-storage", "no-capabilities", "no-web"}

// mounts are what the flags say, nil when they say nothing.
func (m *mountFlags) mounts(cmd *cobra.Command) (*bctrl.Mounts, error) {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	some := slices.ContainsFunc(mountNames, given)
	switch {
	case given("mounts") && some:
		return nil, usageError{errors.New("--mounts says all mounts: leave out the flags for single ones")}
	case given("mounts"):
		return readMounts(cmd, m.file)
	case !some:
		return nil, nil
	}
	for _, conflict := range []struct {
		none string
		some []string
	}{
		{"no-ai", []string{"ai", "ai-default"}},
		{"no-vault", []string{"allow-vault", "deny-vault", "raw-reads"}},
		{"no-storage", []string{"storage"}},
		{"no-capabilities", []string{"capability"}},
		{"no-web", []string{"allow-host", "deny-host"}},
	} {
		if i := slices.IndexFunc(conflict.some, given); given(conflict.none) && i >= 0 {
			return nil, usagef("--%s and --%s contradict each other", conflict.none, conflict.some[i])
		}
	}
	return m.assemble(given)
}

func (m *mountFlags) assemble(given func(string) bool) (*bctrl.Mounts, error) {
	out := &bctrl.Mounts{}
	if given("ai") || given("ai-default") || m.noAI {
		out.AI = &bctrl.AIMount{Allow: m.ai}
	}
	for _, text := range m.defaults {
		provider, id, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usagef("--ai-default %q: want provider=id, such as openai=openai-prod", text)
		}
		if out.AI.Defaults == nil {
			out.AI.Defaults = map[bctrl.AIProvider]string{}
		}
		out.AI.Defaults[bctrl.AIProvider(provider)] = id
	}
	if given("allow-vault") || given("deny-vault") || given("raw-reads") || m.noVault {
		out.Vault = &bctrl.VaultMount{Allow: m.allow, Deny: m.deny}
	}
	if given("raw-reads") {
		out.Vault.AllowRawReads = &m.rawReads
	}
	switch {
	case given("storage"):
		out.Storage = &bctrl.StorageMount{Workspace: m.storage}
	case m.noStorage:
		out.Storage = &bctrl.StorageMount{Access: bctrl.StorageNone}
	}
	if given("capability") || m.noCapability {
		out.Capabilities = &bctrl.CapabilityMount{Allow: m.capabilities}
	}
	if given("allow-host") || given("deny-host") || m.noWeb {
		out.Web = &bctrl.WebMount{Allow: m.allowHosts, Deny: m.denyHosts}
	}
	// An empty list is nothing at all; none would be what the level above has.
	if m.noAI {
		out.AI.Allow = []string{}
	}
	if m.noVault {
		out.Vault.Allow = []string{}
	}
	if m.noCapability {
		out.Capabilities.Allow = []string{}
	}
	if m.noWeb {
		out.Web.Allow = []string{}
	}
	return out, nil
}

// readMounts reads a file of mounts.
func readMounts(cmd *cobra.Command, file string) (*bctrl.Mounts, error) {
	text, name, err := readFileOrInput(cmd, file, maxMounts)
	if err != nil {
		return nil, err
	}
	var m bctrl.Mounts
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, usageError{about(name, err)}
	}
	return &m, nil
}

const nothing = "nothing"

// mountLines say what mounts permit.
func mountLines(m bctrl.Mounts) (lines []pair) {
	if m.AI != nil {
		text := orNothing(m.AI.Allow)
		for _, provider := range sortedKeys(m.AI.Defaults) {
			text += "; default for " + string(provider) + ": " + m.AI.Defaults[provider]
		}
		lines = append(lines, pair{"AI", text})
	}
	if m.Vault != nil {
		text := orNothing(m.Vault.Allow) + butNot(m.Vault.Allow, m.Vault.Deny)
		if m.Vault.AllowRawReads != nil && *m.Vault.AllowRawReads {
			text += "; values may be read"
		}
		lines = append(lines, pair{"Vault", text})
	}
	if m.Storage != nil {
		text := m.Storage.Workspace
		if m.Storage.Access == bctrl.StorageNone {
			text = nothing
		}
		lines = append(lines, pair{"Storage", text})
	}
	if m.Capabilities != nil {
		lines = append(lines, pair{"Capabilities", orNothing(m.Capabilities.Allow)})
	}
	if m.Web != nil {
		lines = append(lines, pair{"Hosts", orNothing(m.Web.Allow) + butNot(m.Web.Allow, m.Web.Deny)})
	}
	return lines
}

// orNothing says a list of what is allowed. A nil one, of a level that is not
// the first, is that of the level above.
func orNothing(allow []string) string {
	switch {
	case allow == nil:
		return "as above"
	case len(allow) == 0:
		return nothing
	}
	return joined(allow)
}

// butNot says what is denied of what is allowed, where anything is.
func butNot(allow, deny []string) string {
	if len(deny) == 0 || allow != nil && len(allow) == 0 {
		return ""
	}
	return "; not " + joined(deny)
}

func sortedKeys(m map[bctrl.AIProvider]string) []bctrl.AIProvider {
	keys := make([]bctrl.AIProvider, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
