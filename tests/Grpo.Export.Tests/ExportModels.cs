using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Models to export.</summary>
internal static class ExportModels
{
    /// <summary>The trained tiny model of the sample.</summary>
    public static string Tiny => Path.Combine(AppContext.BaseDirectory, "tiny");

    /// <summary>Decodes a number of tokens greedily, each from a pass over the whole sequence, without stopping at end tokens.</summary>
    public static int[] Greedy(CausalLM model, IReadOnlyList<int> prompt, int count)
    {
        List<long> ids = [.. prompt.Select(id => (long)id)];
        for (int i = 0; i < count; i++)
        {
            using var scope = TensorScope.BeginNoGrad();
            Tensor logits = model.forward(tensor(ids.ToArray()).unsqueeze(0), null);    // [1, T, V]
            ids.Add(logits[0, -1].argmax().item<long>());
        }

        return [.. ids.Skip(prompt.Count).Select(id => (int)id)];
    }
}
