using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;

namespace Grpo.Fuzz.Tests;

/// <summary>The source files of types without code, such as interfaces, in the symbols of an assembly (Portable PDB format).</summary>
internal static class TypeDocuments
{
    private static readonly Guid Kind = new("932E74BC-DBA9-4478-8D46-0F32A7BAB3D3");

    /// <summary>Reads the symbols.</summary>
    /// <param name="path">The path of the .pdb file.</param>
    /// <returns>The path of the source file by the metadata token of the type.</returns>
    public static Dictionary<int, string> Read(string path)
    {
        using MetadataReaderProvider provider = MetadataReaderProvider.FromPortablePdbStream(File.OpenRead(path));
        MetadataReader reader = provider.GetMetadataReader();
        var documents = new Dictionary<int, string>();
        foreach (CustomDebugInformation information in reader.CustomDebugInformation.Select(reader.GetCustomDebugInformation))
        {
            if (reader.GetGuid(information.Kind) == Kind)
            {
                int row = reader.GetBlobReader(information.Value).ReadCompressedInteger();
                documents[MetadataTokens.GetToken(information.Parent)] =
                    reader.GetString(reader.GetDocument(MetadataTokens.DocumentHandle(row)).Name);
            }
        }

        return documents;
    }
}
