using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Lora;
using Grpo.Testing;

namespace Grpo.Export.Tests;

/// <summary>An adapter's configuration names its base for others, without a path of this machine.</summary>
public sealed class AdapterBaseNameTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void A_local_base_is_named_by_its_last_name_and_still_found()
    {
        string source = CopyTiny("models/my-base");
        Save(source, "adapter");
        Assert.Equal("my-base", NameIn("adapter"));
        Assert.DoesNotContain(_folder.Path, File.ReadAllText(_folder["adapter/adapter_config.json"]), StringComparison.Ordinal);
        using QwenPretrained loaded = QwenPretrained.Load(_folder["adapter"]);
        Assert.Equal(source, loaded.Directory);
        Assert.Equal(new LoraBaseModel(source), loaded.Policy.Model.Adapter!.BaseModel);
    }

    [Fact]
    public void A_published_adapter_needs_its_base_by_name()
    {
        string source = CopyTiny("base");
        Save(source, "adapter");
        File.Delete(_folder["adapter/base_model_location.json"]);
        string message = Assert.Throws<DirectoryNotFoundException>(() => QwenPretrained.Load(_folder["adapter"])).Message;
        Assert.Contains("There is no folder 'base'", message, StringComparison.Ordinal);
        using QwenPretrained given = QwenPretrained.Load(source, new QwenLoadOptions { Adapter = _folder["adapter"] });
        Assert.NotNull(given.Policy.Model.Adapter);
    }

    [Fact]
    public void A_folder_in_the_hub_cache_is_named_by_id_and_commit()
    {
        const string Commit = "0123456789abcdef0123456789abcdef01234567";
        Save(CopyTiny($"hub/models--Qwen--Qwen2.5-0.5B/snapshots/{Commit}"), "adapter");
        Assert.Equal("Qwen/Qwen2.5-0.5B", NameIn("adapter"));
        Assert.Equal(Commit, FieldIn("adapter", "revision"));
    }

    [Fact]
    public void A_folder_is_named_by_the_id_in_its_configuration()
    {
        string source = CopyTiny("base");
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(source, "config.json")))!.AsObject();
        config["_name_or_path"] = "Qwen/Qwen2.5-0.5B-Instruct";
        File.WriteAllText(Path.Combine(source, "config.json"), config.ToJsonString());
        Save(source, "adapter");
        Assert.Equal("Qwen/Qwen2.5-0.5B-Instruct", NameIn("adapter"));

        config["_name_or_path"] = "/home/someone/base";
        File.WriteAllText(Path.Combine(source, "config.json"), config.ToJsonString());
        Save(source, "other");
        Assert.Equal("base", NameIn("other"));
    }

    [Fact]
    public void A_damaged_location_is_named()
    {
        Save(CopyTiny("base"), "adapter");
        File.WriteAllText(_folder["adapter/base_model_location.json"], "{");
        string message = Assert.Throws<InvalidDataException>(() => QwenPretrained.Load(_folder["adapter"])).Message;
        Assert.Contains("base_model_location.json", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_base_without_an_id_is_logged_once()
    {
        var logger = new ListLogger();
        var options = new QwenLoadOptions { Lora = new LoraOptions(), Logger = logger };
        using QwenPretrained qwen = QwenPretrained.Load(CopyTiny("base"), options);
        Assert.Single(logger.Messages, message => message.Contains("names its base 'base'", StringComparison.Ordinal));
    }

    public void Dispose() => _folder.Dispose();

    private string CopyTiny(string name)
    {
        string folder = Directory.CreateDirectory(_folder[name]).FullName;
        foreach (string file in Directory.GetFiles(ExportModels.Tiny))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }

        return folder;
    }

    private void Save(string source, string adapter)
    {
        using QwenPretrained qwen = QwenPretrained.Load(source, new QwenLoadOptions { Lora = new LoraOptions { Rank = 2 } });
        qwen.Policy.Save(Directory.CreateDirectory(_folder[adapter]).FullName);
    }

    private string? NameIn(string adapter) => FieldIn(adapter, "base_model_name_or_path");

    private string? FieldIn(string adapter, string field)
    {
        using JsonDocument config = JsonDocument.Parse(File.ReadAllText(Path.Combine(_folder[adapter], "adapter_config.json")));
        return config.RootElement.GetProperty(field).GetString();
    }
}
