package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

func ExampleStorage_Namespace() {
	fmt.Println(exampleClient().Storage("sales-exports").Namespace())
	// Output: sales-exports
}

func ExampleStorage_Upload() {
	file := strings.NewReader("account,amount\nAcme,120\n") // an *os.File in life
	object, err := exampleClient().Storage("sales-exports").Upload(context.Background(), "exports/q1.csv", file,
		bctrl.WithContentType("text/csv"))
	fmt.Println(object.LogicalPath, object.SizeBytes, err)
	// Output: exports/q1.csv 24 <nil>
}

func ExampleWithContentType() {
	_, err := exampleClient().Storage("sales-exports").Upload(context.Background(), "exports/q1.csv",
		strings.NewReader("a,b\n"), bctrl.WithContentType("text/csv"))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithIfMatch() {
	ctx, files := context.Background(), exampleClient().Storage("sales-exports")
	object, err := files.Stat(ctx, "exports/q1.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = files.Upload(ctx, "exports/q1.csv", strings.NewReader("a,b\n"), bctrl.WithIfMatch(object.ETag))
	fmt.Println(errors.Is(err, bctrl.ErrConflict)) // true when somebody was faster
	// Output: false
}

func ExampleWithIfAbsent() {
	_, err := exampleClient().Storage("sales-exports").Upload(context.Background(), "exports/q1.csv",
		strings.NewReader("a,b\n"), bctrl.WithIfAbsent())
	fmt.Println(errors.Is(err, bctrl.ErrConflict)) // true when the path is taken
	// Output: false
}

func ExampleWithSize() {
	stream := io.LimitReader(strings.NewReader("a,b\n1,2\n"), 4) // cannot say how long it is
	object, err := exampleClient().Storage("sales-exports").Upload(context.Background(), "exports/q1.csv", stream,
		bctrl.WithSize(4))
	fmt.Println(object.SizeBytes, err)
	// Output: 4 <nil>
}

func ExampleWithReopen() {
	// a download, a pipe, a decompressor
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("a,b\n")), nil }
	object, err := exampleClient().Storage("sales-exports").Upload(context.Background(), "exports/q1.csv", nil,
		bctrl.WithReopen(open))
	fmt.Println(object.SizeBytes, err)
	// Output: 4 <nil>
}

func ExampleStorage_Get() {
	content, err := exampleClient().Storage("sales-exports").Get(context.Background(), "exports/q1.csv")
	fmt.Printf("%s%v\n", content, err)
	// Output:
	// account,amount
	// Acme,120
	// <nil>
}

func ExampleStorage_Open() {
	file, err := exampleClient().Storage("sales-exports").Open(context.Background(), "exports/q1.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	n, err := io.Copy(os.Stdout, file)
	fmt.Println(n, file.Length, err)
	// Output:
	// account,amount
	// Acme,120
	// 24 24 <nil>
}

func ExampleWithRange() {
	file, err := exampleClient().Storage("sales-exports").Open(context.Background(), "exports/q1.csv",
		bctrl.WithRange(15, -1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	rest, err := io.ReadAll(file)
	fmt.Printf("%q %v\n", rest, err)
	// Output: "Acme,120\n" <nil>
}

func ExampleStorageReader_Read() {
	file, err := exampleClient().Storage("sales-exports").Open(context.Background(), "exports/q1.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	head := make([]byte, 7)
	_, err = io.ReadFull(file, head)
	fmt.Println(string(head), err)
	// Output: account <nil>
}

func ExampleStorageReader_WriteTo() {
	file, err := exampleClient().Storage("sales-exports").Open(context.Background(), "exports/q1.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	n, err := file.WriteTo(os.Stdout) // as io.Copy does
	fmt.Println(n, err)
	// Output:
	// account,amount
	// Acme,120
	// 24 <nil>
}

func ExampleStorageReader_Close() {
	file, err := exampleClient().Storage("sales-exports").Open(context.Background(), "exports/q1.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(file.Close()) // also before its end
	// Output: <nil>
}

func ExampleStorage_Stat() {
	object, err := exampleClient().Storage("sales-exports").Stat(context.Background(), "exports/q1.csv")
	fmt.Println(object.SizeBytes, object.ETag, err)
	// Output: 24 "v1" <nil>
}

func ExampleStorage_Delete() {
	fmt.Println(exampleClient().Storage("sales-exports").Delete(context.Background(), "exports/q1.csv"))
	// Output: <nil>
}

func ExampleStorage_DownloadURL() {
	url, err := exampleClient().Storage("sales-exports").DownloadURL(context.Background(), "exports/q1.csv",
		10*time.Minute)
	fmt.Println(url, err)
	// Output: https://api.bctrl.ai/v1/downloads/signature/q1.csv <nil>
}

func ExampleStorage_Browse() {
	files := exampleClient().Storage("sales-exports")
	for item, err := range files.Browse(context.Background(), bctrl.BrowseOptions{Delimiter: "/"}) {
		switch {
		case err != nil:
			fmt.Println(err)
		case item.Folder != nil:
			fmt.Println(item.Path, item.Folder.FileCount)
		default:
			fmt.Println(item.Path)
		}
	}
	// Output:
	// exports/ 2
	// readme.txt
}

func ExampleStorage_BrowsePage() {
	page, err := exampleClient().Storage("sales-exports").BrowsePage(context.Background(),
		bctrl.BrowseOptions{Delimiter: "/"}, bctrl.PageOptions{Limit: 100})
	fmt.Println(len(page.Files), len(page.Folders), err)
	// Output: 1 1 <nil>
}

func ExampleStorage_Objects() {
	files := exampleClient().Storage("sales-exports")
	for object, err := range files.Objects(context.Background(), bctrl.ObjectFilter{Source: bctrl.SourceUpload}) {
		fmt.Println(object.LogicalPath, object.Source, err)
	}
	// Output: exports/q1.csv upload <nil>
}

func ExampleStorage_ObjectsPage() {
	page, err := exampleClient().Storage("sales-exports").ObjectsPage(context.Background(), bctrl.ObjectFilter{},
		bctrl.PageOptions{})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

// What a client library calls a stored file where it takes a path: here that of puppeteer.
func ExampleClientPath() {
	fmt.Printf("await input.uploadFile(%q)\n", bctrl.ClientPath("reports/q1.pdf"))
	// Output: await input.uploadFile("/storage/reports/q1.pdf")
}
