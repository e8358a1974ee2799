using System.Text.Json.Nodes;

namespace Grpo.Testing;

/// <summary>
/// Another set of reference data of the same layout, made of the first one: fewer cases, in another order and under other names, models of
/// other sizes under each name, other rows in front.
/// </summary>
public static class SecondGoldenSet
{
    private static readonly string[] Cases = ["cases", "thelmbook_cases", "adamw_cases", "schedules", "other_implementations"];

    /// <summary>Makes the set in a folder, which <see cref="SharedData.UseGolden"/> can then take.</summary>
    public static void Make(string folder)
    {
        string golden = Path.Combine(folder, "golden");
        foreach (string path in Directory.EnumerateFiles(SharedData.Path("golden"), "*", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(SharedData.Path("golden"), path).Replace('\\', '/');
            string copy = Path.Combine(golden, Exchange(name));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(path, copy);
        }

        foreach (string path in Directory.EnumerateFiles(golden, "*.json").Append(Path.Combine(golden, "lora-A", "adapter_config.json")))
        {
            JsonNode file = JsonNode.Parse(File.ReadAllText(path))!;
            Change(Path.GetFileName(path), file.AsObject());
            File.WriteAllText(path, file.ToJsonString());
        }
    }

    /// <summary>Takes all cases out of an array of a file.</summary>
    public static void Empty(string folder, string file, string array)
    {
        string path = Path.Combine(folder, "golden", file);
        JsonNode content = JsonNode.Parse(File.ReadAllText(path))!;
        content[array] = new JsonArray();
        File.WriteAllText(path, content.ToJsonString());
    }

    // Models A and B change places, with everything that belongs to them.
    private static string Exchange(string name) =>
        name.StartsWith("model-A/", StringComparison.Ordinal) ? $"model-B/{name[8..]}"
        : name.StartsWith("model-B/", StringComparison.Ordinal) ? $"model-A/{name[8..]}"
        : name switch
        {
            "forward-A.safetensors" => "forward-B.safetensors",
            "forward-B.safetensors" => "forward-A.safetensors",
            _ => name,
        };

    private static void Change(string name, JsonObject file)
    {
        foreach (string array in Cases.Where(file.ContainsKey))
        {
            file[array] = Fewer(file[array]!.AsArray());
        }

        switch (name)
        {
            case "forward.json":
                (JsonNode a, JsonNode b) = (file["A"]!.DeepClone(), file["B"]!.DeepClone());
                (file["A"], file["B"]) = (b, a);
                break;
            case "generation.json":
                foreach (JsonNode? item in file["cases"]!.AsArray())
                {
                    item!["model"] = Other((string)item["model"]!);
                }

                break;
            case "advantages.json":
                foreach (JsonNode? item in file["cases"]!.AsArray())
                {
                    item!["name"] = $"second set: {(string)item["name"]!}";
                }

                break;
            case "e2e_grpo.json":
                file["model"] = Other((string)file["model"]!);
                ExchangeGroups(file, rows: file["rewards"]!.AsArray().Count, size: (int)file["num_generations"]!);
                break;
            case "adapter_config.json":
                file["base_model_name_or_path"] = "../model-B";
                file["target_modules"] = new JsonArray([.. file["target_modules"]!.AsArray().Reverse().Select(item => item!.DeepClone())]);
                break;
        }
    }

    private static string Other(string model) => model switch
    {
        "A" => "B",
        "B" => "A",
        _ => model,
    };

    /// <summary>Every third case is left out where there are many; the others come in reverse.</summary>
    private static JsonArray Fewer(JsonArray cases) =>
        new([.. cases.Where((_, i) => cases.Count < 6 || i % 3 != 1).Reverse().Select(item => item!.DeepClone())]);

    /// <summary>The rows of the first group go to the end, in every array that has one entry per row.</summary>
    private static void ExchangeGroups(JsonObject file, int rows, int size)
    {
        foreach ((string name, JsonNode? node) in file.ToArray())
        {
            if (node is JsonArray array && name != "iterations" && !name.StartsWith("final_", StringComparison.Ordinal)
                && array.Count == rows)
            {
                file[name] = new JsonArray([.. array.Skip(size).Concat(array.Take(size)).Select(item => item!.DeepClone())]);
            }
            else if (name == "iterations")
            {
                foreach (JsonNode? iteration in node!.AsArray())
                {
                    ExchangeGroups(iteration!.AsObject(), rows, size);
                }
            }
        }
    }
}
