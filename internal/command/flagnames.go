package command

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bctrl-go/bctrl"
)

// otherNames are the flags whose names are not those of the fields that they
// fill. A field is there without the numbers of its lists.
func otherNames(field string) []string {
	switch field {
	case "mounts.ai.defaults":
		return []string{"ai-default"}
	case "mounts.ai.allow":
		return []string{"ai"}
	case "mounts.vault.allow":
		return []string{"allow-vault"}
	case "mounts.vault.deny":
		return []string{"deny-vault"}
	case "mounts.vault.allowRawReads":
		return []string{"raw-reads"}
	case "mounts.storage.workspace", "mounts.storage.access":
		return []string{"storage"}
	case "mounts.web.allow":
		return []string{"allow-host"}
	case "mounts.web.deny":
		return []string{"deny-host"}
	case "mounts.capabilities.allow":
		return []string{"capability"}
	case "name":
		return []string{"name", "rename"}
	case "scope.type":
		return []string{"scope"}
	case "aliases":
		return []string{"alias"}
	case "value":
		return []string{"value", "value-file"}
	case "matchOrigins", "originPatterns":
		return []string{"origin"}
	case "baseUrl":
		return []string{"endpoint"}
	case "embedOrigins":
		return []string{"embed"}
	case "TTL":
		return []string{"ttl"}
	case "output":
		return []string{"schema"}
	case "steps.timeoutMs":
		return []string{"timeout"}
	case "maxCostUsd":
		return []string{"max-cost"}
	case "look.model", "look.credential":
		return []string{strings.ReplaceAll(field, ".", "-")}
	case "launch.profileId":
		return []string{"profile"}
	case "launch.config.idleTimeoutMs":
		return []string{"idle-timeout"}
	case "launch.config.maxLifeMs":
		return []string{"max-life"}
	case "launch.config.maxMemoryBytes":
		return []string{"max-memory"}
	case "launch.config.proxy.server":
		return []string{"proxy"}
	case "launch.config.proxy.vaultKey":
		return []string{"proxy-key"}
	case "launch.config.permissions":
		return []string{"grant"}
	case "redact":
		return []string{"response-block"}
	case "callsPerMinute":
		return []string{"rate-limit-per-minute"}
	case "maxRequestBytes":
		return []string{"max-request-body-bytes"}
	case "maxResponseBytes":
		return []string{"max-response-body-bytes"}
	case "auth.type":
		return []string{"auth"}
	case "auth.headers":
		return []string{"auth-header", "header-name", "value-template"}
	case "auth.query":
		return []string{"auth-query", "query-param"}
	case "auth.path":
		return []string{"path-prefix-template"}
	case "auth.username", "auth.password":
		return []string{strings.TrimPrefix(field, "auth.") + "-template"}
	case "auth.oauth2.grant":
		return []string{"grant-type"}
	case "auth.oauth2.tokenUrl":
		return []string{"token-endpoint"}
	case "auth.oauth2.scopes":
		return []string{"oauth-scope"}
	case "auth.sigv4.service", "auth.sigv4.region":
		return []string{"aws-" + field[strings.LastIndex(field, ".")+1:]}
	case "auth.hmac.algorithm":
		return []string{"hmac-algorithm"}
	}
	return nil
}

// flagsFor are the flags that may have filled a field.
func flagsFor(field string) []string {
	last := dashed(field[strings.LastIndex(field, ".")+1:])
	return append(otherNames(field), last, strings.TrimSuffix(last, "s"), strings.TrimSuffix(last, "-ms"))
}

// asTyped names a field of the HTTP API as whoever typed the command did: by the
// flag that filled it, or that has to be given where code says that it is
// missing. Any other field that no flag of this command line filled stays what it
// is: it may be in a file.
func asTyped(cmd *cobra.Command, code, field string) string {
	if cmd == nil || field == "" {
		return field
	}
	if _, argument, ok := strings.Cut(field, "args."); ok { // of the step that the command makes
		field = argument
	}
	plain, n := withoutIndex(field)
	for name := plain; name != ""; name = above(name) {
		for _, flag := range flagsFor(name) {
			f := cmd.Flags().Lookup(flag)
			if f == nil || !f.Changed || strings.HasPrefix(plain, "mounts.") && !slices.Contains(mountNames, flag) {
				continue
			}
			if list, ok := f.Value.(pflag.SliceValue); ok && n >= 0 && len(list.GetSlice()) > 1 {
				return "--" + flag + " " + strconv.Itoa(n+1)
			}
			return "--" + flag
		}
	}
	missing := strings.HasSuffix(code, "_required") || strings.HasSuffix(code, "_missing")
	if !missing || slices.ContainsFunc([]string{"mounts", "request", "request-file"}, cmd.Flags().Changed) {
		return field
	}
	return toGive(cmd, field)
}

// toGive names the flag that fills a field, with the entry where it is one of
// several: --secret-ref token=….
func toGive(cmd *cobra.Command, field string) string {
	for name := field; name != ""; name = above(name) {
		for _, flag := range flagsFor(name) {
			switch {
			case cmd.Flags().Lookup(flag) == nil:
			case name == field:
				return "--" + flag
			default:
				return "--" + flag + " " + field[len(name)+1:] + "=…"
			}
		}
	}
	return field
}

// naming puts what whoever typed the command calls something, such as the name of
// a file, in the place of the field that the SDK or the HTTP API has for it.
func naming(err error, field, name string) error {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !ok {
		return err
	}
	if e.Field == field {
		e.Field = name
	}
	for i := range e.Problems {
		if e.Problems[i].Field == field {
			e.Problems[i].Field = name
		}
	}
	return err
}

// above is the field that a field is part of: a header is of the headers.
func above(field string) string {
	end := strings.LastIndex(field, ".")
	return field[:max(end, 0)]
}

// withoutIndex returns a field without the last number of a list in it, and
// that number, or -1.
func withoutIndex(field string) (string, int) {
	open, end := strings.LastIndex(field, "["), strings.LastIndex(field, "]")
	if open < 0 || end < open {
		return field, -1
	}
	n, err := strconv.Atoi(field[open+1 : end])
	if err != nil {
		return field, -1
	}
	return field[:open] + field[end+1:], n
}

// dashed writes a field as flags are written: workspaceId is workspace-id.
func dashed(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
