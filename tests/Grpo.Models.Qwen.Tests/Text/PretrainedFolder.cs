using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>A whole checkpoint for a test: a tiny model, a tiny tokenizer, and what the test adds.</summary>
internal sealed class PretrainedFolder : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    /// <summary>A checkpoint with the tokenizer of <see cref="TinyTokenizer"/> and no chat template.</summary>
    public PretrainedFolder()
        : this(264)
    {
        _folder.Write("tokenizer.json", TinyTokenizer.TokenizerJson().ToJsonString());
    }

    private PretrainedFolder(int vocabularySize)
    {
        using CausalLM model = CausalLM.Initialize(
            TinyModels.Config() with
            {
                VocabularySize = vocabularySize,
                HiddenSize = 12,
                AttentionHeadCount = 2,
                KeyValueHeadCount = 1,
                LayerCount = 1,
            }, seed: 7);
        QwenWeights.Save(model, _folder.Path, ScalarType.BFloat16);
    }

    public string Path => _folder.Path;

    /// <summary>A tiny model with Qwen2.5's real vocabulary from the shared data.</summary>
    public static PretrainedFolder WithRealVocabulary()
    {
        var folder = new PretrainedFolder(151_936);
        foreach (string name in (ReadOnlySpan<string>)["vocab.json", "merges.txt"])
        {
            System.IO.File.Copy(SharedData.Path("data", "qwen2.5-tokenizer", name), folder._folder.File(name));
        }

        return folder;
    }

    public PretrainedFolder With(string name, string content)
    {
        _folder.Write(name, content);
        return this;
    }

    public string File(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}
