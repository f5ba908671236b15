// Command protogen compiles Protobuf sources and runs the code generators on
// them, without protoc and without a remote registry: the compiler is
// protocompile, the plugins are the tools that go.mod of this module pins,
// and google/api/annotations.proto comes from the genproto module.
//
// Usage (in the folder of go.mod): go run ./protogen PROTO_DIR OUT_DIR
//
// All .proto files under PROTO_DIR are compiled. Go code goes to OUT_DIR,
// under the part of go_package after "muniment.dev/api/gen/"; the compiled
// sources with their comments go to OUT_DIR/descriptors.binpb.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	_ "google.golang.org/genproto/googleapis/api/annotations" // registers google/api/*.proto
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const goPrefix = "muniment.dev/api/gen"

// plugins are the generators, by the name that `go tool` knows them by.
var plugins = []struct{ tool, param string }{
	{"protoc-gen-go", "module=" + goPrefix},
	{"protoc-gen-connect-go", "simple,module=" + goPrefix},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: protogen PROTO_DIR OUT_DIR")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, out string) error {
	names, err := sources(dir)
	if err != nil {
		return err
	}
	files, err := compile(ctx, dir, names)
	if err != nil {
		return err
	}
	set := closure(files)
	if err := os.RemoveAll(filepath.Join(out, "muniment")); err != nil { // nothing stale stays
		return err
	}
	for _, p := range plugins {
		if err := generate(ctx, p.tool, p.param, names, set, out); err != nil {
			return fmt.Errorf("%s: %w", p.tool, err)
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: set})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "descriptors.binpb"), b, 0o644)
}

// sources lists the .proto files under dir, by their import paths, sorted.
func sources(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".proto" {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	return names, err
}

func compile(ctx context.Context, dir string, names []string) (linker.Files, error) {
	linked := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
		return protocompile.SearchResult{Desc: fd}, err
	})
	c := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{dir}},
			linked,
		},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	return c.Compile(ctx, names...)
}

// closure is the files and all that they import, imports first.
func closure(files linker.Files) []*descriptorpb.FileDescriptorProto {
	var set []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	var add func(fd protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if seen[fd.Path()] {
			return
		}
		seen[fd.Path()] = true
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
		set = append(set, protodesc.ToFileDescriptorProto(fd))
	}
	for _, f := range files {
		add(f)
	}
	return set
}

// generate runs one plugin and writes the files that it answers.
func generate(ctx context.Context, tool, param string, names []string, set []*descriptorpb.FileDescriptorProto, out string) error {
	in, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: names, Parameter: &param, ProtoFile: set,
	})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", tool)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return err
	}
	var resp pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(b, &resp); err != nil {
		return err
	}
	if resp.Error != nil {
		return fmt.Errorf("%s", strings.TrimSpace(*resp.Error))
	}
	for _, f := range resp.File {
		path := filepath.Join(out, filepath.FromSlash(f.GetName()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
