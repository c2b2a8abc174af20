package command

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

const (
	// completionTime is how long a shell waits for what a word may become.
	completionTime = 2 * time.Second
	// maxCompletions is more than anybody reads.
	maxCompletions = 200
)

// source lists what a word may become, given the start of it that is typed.
type source func(ctx context.Context, client *bctrl.Client, typed string) iter.Seq2[string, error]

// completing completes the arguments of a command by asking the server: the
// first argument from the first source, and so on.
func (c *cli) completing(sources ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(sources) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.complete(cmd, sources[len(args)], typed)
	}
}

// complete asks the server what a word may become. Whatever goes wrong, there
// are no completions: nobody wants an error in the middle of a command line.
func (c *cli) complete(
	cmd *cobra.Command, from source, typed string,
) (found []string, directive cobra.ShellCompDirective) {
	directive = cobra.ShellCompDirectiveNoFileComp
	client, err := c.client(bctrl.WithMaxRetries(0))
	if err != nil {
		return nil, directive
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	for word, err := range from(ctx, client, typed) {
		if err != nil || len(found) == maxCompletions {
			break
		}
		if !strings.HasPrefix(word, typed) {
			continue
		}
		found = append(found, word)
		if strings.HasSuffix(word, "/") || strings.HasSuffix(word, ":") {
			directive |= cobra.ShellCompDirectiveNoSpace // more is to come
		}
	}
	return found, directive
}

// completeWords completes a flag with one of a few words.
func completeWords(cmd *cobra.Command, flag string, choice ...string) {
	completeFlag(cmd, flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return starting(choice, typed), cobra.ShellCompDirectiveNoFileComp
	})
}

func completeFlag(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic(err) // the command has no such flag
	}
}

// starting keeps the words that start with what is typed.
func starting(choice []string, typed string) (found []string) {
	for _, word := range choice {
		if strings.HasPrefix(word, typed) {
			found = append(found, word)
		}
	}
	return found
}

func workspaceNames(ctx context.Context, client *bctrl.Client, _ string) iter.Seq2[string, error] {
	return mapped(client.Workspaces.List(ctx), func(ws *bctrl.Workspace) string { return ws.Name })
}

func aiIDs(ctx context.Context, client *bctrl.Client, _ string) iter.Seq2[string, error] {
	return mapped(client.AICredentials.List(ctx), func(a bctrl.AICredential) string { return a.ID })
}

func secretIDs(ctx context.Context, client *bctrl.Client, _ string) iter.Seq2[string, error] {
	return mapped(client.Secrets.List(ctx, bctrl.SecretFilter{}), func(s bctrl.SecretInfo) string { return s.ID })
}

func credentialIDs(ctx context.Context, client *bctrl.Client, _ string) iter.Seq2[string, error] {
	return mapped(client.Credentials.List(ctx), func(k bctrl.Credential) string { return k.ID })
}

// capabilityIDs are those of the provider that is typed, and before its slash
// all of them.
func capabilityIDs(ctx context.Context, client *bctrl.Client, typed string) iter.Seq2[string, error] {
	var filter bctrl.CapabilityFilter
	if provider, _, whole := strings.Cut(typed, "/"); whole {
		filter.Provider = provider
	}
	return mapped(client.Capabilities.List(ctx, filter), func(k bctrl.Capability) string { return k.ID })
}

// vaultKeys are the keys in the folder that is typed.
func vaultKeys(ctx context.Context, client *bctrl.Client, typed string) iter.Seq2[string, error] {
	return client.Vault.List(ctx, typed[:strings.LastIndex(typed, "/")+1])
}

// runtimeNames are workspaces until the slash is typed, then the aliases of
// live runtimes.
func runtimeNames(ctx context.Context, client *bctrl.Client, typed string) iter.Seq2[string, error] {
	name, _, ok := strings.Cut(typed, "/")
	if !ok {
		return mapped(client.Workspaces.List(ctx), func(ws *bctrl.Workspace) string { return ws.Name + "/" })
	}
	return func(yield func(string, error) bool) {
		ws, err := workspaceOf(ctx, client, name)
		if err != nil {
			yield("", err)
			return
		}
		for rt, err := range ws.Runtimes.List(ctx) {
			if err == nil && (rt.Status == bctrl.RuntimeStopped || rt.Status == bctrl.RuntimeFailed) {
				continue
			}
			if err != nil {
				yield("", err)
				return
			}
			if !yield(name+"/"+rt.Alias, nil) {
				return
			}
		}
	}
}

// storedFiles are the namespaces that workspaces mount until the colon is
// typed, then the files and folders of the folder that is typed.
func storedFiles(ctx context.Context, client *bctrl.Client, typed string) iter.Seq2[string, error] {
	namespace, path, ok := strings.Cut(typed, ":")
	if !ok {
		return mapped(client.Workspaces.List(ctx), func(ws *bctrl.Workspace) string {
			if m := ws.Mounts.Storage; m != nil && m.Workspace != "" {
				return m.Workspace + ":"
			}
			return ws.Name + ":"
		})
	}
	within := bctrl.BrowseOptions{Prefix: path[:strings.LastIndex(path, "/")+1], Delimiter: "/"}
	return mapped(client.Storage(namespace).Browse(ctx, within), func(item bctrl.StorageItem) string {
		return namespace + ":" + item.Path
	})
}

// mapped maps what an iterator gives, and passes its error on.
func mapped[T, U any](all iter.Seq2[T, error], fn func(T) U) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		for v, err := range all {
			if err != nil {
				var none U
				yield(none, err)
				return
			}
			if !yield(fn(v), nil) {
				return
			}
		}
	}
}
