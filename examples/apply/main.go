// Command apply makes the documents of folders the definitions of an instance,
// as a deployment would: over the API, with an account that may do that.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"muniment.dev/examples/client"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apply:", err)
		os.Exit(1)
	}
}

// document is a document with its name.
type document struct {
	File string `json:"file"`
	Text string `json:"text"`
}

func run(ctx context.Context, folders []string) error {
	c, err := client.Of(ctx, "DEPLOYMENT")
	if err != nil {
		return err
	}
	var documents []document
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			documents = append(documents, document{filepath.Base(name), string(text)})
		}
	}
	var out struct {
		Steps []struct {
			Text string `json:"text"`
		} `json:"steps"`
		Warnings []string `json:"warnings"`
	}
	if err := c.Post(ctx, "/v1/schema:apply", map[string]any{"documents": documents}, &out); err != nil {
		return err
	}
	for _, s := range out.Steps {
		fmt.Println(s.Text)
	}
	for _, w := range out.Warnings {
		fmt.Println("Warning:", w)
	}
	return nil
}
