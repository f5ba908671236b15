// Loyalty points: an example of logic that no expression holds, in
// AssemblyScript. Compiled with version 0.28.20 by
//
//   asc points.ts -o points.wasm -O3 --runtime stub --use abort= --exportStart _initialize
//
// The input is {"event": {"cents": …}, "meta": {…}, "state": {"points": …}}.

export function alloc(length: i32): i32 {
  return heap.alloc(length) as i32;
}

export function apply(place: i32, length: i32): i64 {
  const input = String.UTF8.decodeUnsafe(place, length);
  const middle = input.lastIndexOf("\"state\":");
  const cents = numberAfter(input.substring(0, middle), "\"cents\":");
  const points = numberAfter(input.substring(middle), "\"points\":") + cents / 100.0;
  const tiers = ["none", "bronze", "silver", "gold"];
  let tier = 0;
  for (let need = 100.0; tier < 3 && points >= need; need *= 10.0) tier++;
  const names = new Map<string, string>();
  names.set("points", (points as i64).toString());
  names.set("tier", "\"" + tiers[tier] + "\"");
  names.set("mean", Math.sqrt(points).toString());
  return answer(names);
}

function numberAfter(text: string, name: string): f64 {
  const at = text.indexOf(name);
  return at < 0 ? 0.0 : parseFloat(text.substring(at + name.length));
}

function answer(names: Map<string, string>): i64 {
  const parts: string[] = [];
  const keys = names.keys();
  for (let i = 0; i < keys.length; i++) parts.push("\"" + keys[i] + "\":" + names.get(keys[i]));
  const bytes = String.UTF8.encode("{\"state\":{" + parts.join(",") + "}}");
  return (changetype<usize>(bytes) as i64) << 32 | (bytes.byteLength as i64);
}
