using System.Text.Json;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// The families' configurations against references: every spelling of <c>config.json</c>, the rotary frequencies, and saving. The numbers
/// of the passes are in <see cref="ForwardGoldenTests"/> and <see cref="GenerationGoldenTests"/>.
/// </summary>
public sealed class FamiliesGoldenTests
{
    private static readonly string[] Models = ["qwen3-A", "qwen3-B", "llama-A", "llama-B", "qwen2-yarn", "qwen2-linear"];

    public static TheoryData<string, string> Spellings
    {
        get
        {
            var spellings = new TheoryData<string, string>();
            foreach (string model in Models)
            {
                spellings.Add(model, "config-other-spelling.json");
                spellings.Add(model, "config-mixed-spelling.json");
            }

            return spellings;
        }
    }

    public static TheoryData<string> Names => [.. Models];

    [SharedTheory]
    [MemberData(nameof(Spellings))]
    public void Logits_are_the_same_bits_in_every_spelling(string name, string spelling)
    {
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(GoldenModel.Folder(name), "model*"))
        {
            File.Copy(file, Path.Combine(folder.Path, Path.GetFileName(file)));
        }

        File.Copy(Path.Combine(GoldenModel.Folder(name), spelling), Path.Combine(folder.Path, "config.json"));
        using var golden = new GoldenModel(name);
        using var spelled = new GoldenModel(name, folder.Path);
        using var scope = TensorScope.BeginNoGrad();
        (Tensor ids, Tensor mask) = (golden["left.input_ids"], golden["left.attention_mask"]);
        Tensor logits = spelled.Model.call(ids, mask);
        TensorAssert.Identical(golden.Model.call(ids, mask), logits, "logits");
        TensorAssert.Near(golden["left.logits"], logits * mask.unsqueeze(2), 1e-4, "logits");
    }

    [SharedTheory]
    [InlineData("qwen2-yarn")]
    [InlineData("qwen2-linear")]
    public void Frequencies_and_gain_equal_the_reference(string name)
    {
        using JsonDocument summary = JsonDocument.Parse(File.ReadAllText(SharedData.Path(GoldenModel.Set(name), "forward.json")));
        JsonElement golden = summary.RootElement.GetProperty(name);
        DecoderConfig config = DecoderConfig.Load(GoldenModel.Folder(name));
        using var scope = TensorScope.BeginNoGrad();
        double[] actual = [.. RotaryFrequencies.Compute(config, CPU).data<double>()];
        double[] expected = [.. golden.GetProperty("inverse_frequencies").EnumerateArray().Select(value => value.GetDouble())];
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(1, actual[i] / expected[i], 1e-10);
        }

        Assert.Equal(golden.GetProperty("attention_factor").GetDouble(), config.RopeScaling!.Gain, 1e-10);
    }

    [SharedTheory]
    [MemberData(nameof(Names))]
    public void Saved_equals_loaded_bit_for_bit(string name)
    {
        using var golden = new GoldenModel(name);
        using var folder = new TemporaryFolder();
        QwenWeights.Save(golden.Model, folder.Path);
        using var again = new GoldenModel(name, folder.Path);
        Assert.Null(golden.Model.Config.DifferenceFrom(again.Model.Config));
        Assert.Equal(golden.Model.Config.EosTokenIds, again.Model.Config.EosTokenIds);
        Assert.Equal(golden.Model.Config.OtherFields.Keys, again.Model.Config.OtherFields.Keys);
        using var scope = TensorScope.BeginNoGrad();
        Tensor ids = golden["long.input_ids"];
        TensorAssert.Identical(golden.Model.call(ids, null), again.Model.call(ids, null), "logits");
    }
}
